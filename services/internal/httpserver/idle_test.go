package httpserver

import (
	"bufio"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// idleServer is a server with a limit on idle connections.
type idleServer struct {
	address string
	closed  atomic.Int64  // connections closed at once
	idle    chan struct{} // has an element for each connection counted as idle
}

// newIdleServer serves until the test ends.
func newIdleServer(t *testing.T, limit int, h http.Handler) *idleServer {
	t.Helper()
	i := &idleServer{idle: make(chan struct{}, 1000)}
	s, l, ended := New(h), listen(t), make(chan error, 1)
	LimitIdle(s, limit, slog.New(slog.NewTextHandler(t.Output(), nil)), func() { i.closed.Add(1) })
	count := s.ConnState
	s.ConnState = func(c net.Conn, state http.ConnState) {
		if count != nil {
			count(c, state)
		}
		if state == http.StateIdle {
			i.idle <- struct{}{}
		}
	}
	go func() { ended <- Serve(s, l) }()
	t.Cleanup(func() { s.Close(); <-ended })
	i.address = l.Addr().String()
	return i
}

// dial opens a connection from an address.
func dial(t *testing.T, from, to string) net.Conn {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	c, err := d.DialContext(t.Context(), "tcp", to)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return c
}

// get sends a request, and reports whether the answer says that the connection closes.
// If it does not, the server has counted the connection as idle when get returns: it does
// so only after the answer.
func (i *idleServer) get(t *testing.T, c net.Conn) (closes bool) {
	t.Helper()
	if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: h\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if !resp.Close {
		select {
		case <-i.idle:
		case <-time.After(10 * time.Second):
			t.Fatal("the server does not say that the connection is idle")
		}
	}
	return resp.Close
}

func ok(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Length", "0") }

func TestLimitIdle_BoundsEachAddress(t *testing.T) {
	t.Parallel()
	const limit = 3
	s := newIdleServer(t, limit, http.HandlerFunc(ok))
	var conns []net.Conn
	for i := range 3 * limit {
		c := dial(t, "127.0.0.1", s.address)
		if closes := s.get(t, c); closes != (i >= limit) {
			t.Errorf("connection %d: closes %t", i, closes)
		}
		conns = append(conns, c)
	}
	for i := range 2 * limit { // another address has its own
		if closes := s.get(t, dial(t, "127.0.0.2", s.address)); closes != (i >= limit) {
			t.Errorf("connection %d of another address: closes %t", i, closes)
		}
	}
	for range 2 { // those within the limit go on
		if s.get(t, conns[0]) {
			t.Error("the first one is told to close")
		}
	}
	conns[0].Close()
	deadline := time.Now().Add(10 * time.Second)
	for s.get(t, dial(t, "127.0.0.1", s.address)) { // its place is free as soon as the server has noticed
		if time.Now().After(deadline) {
			t.Fatal("the place of a closed connection does not become free")
		}
	}
	if s.closed.Load() != 0 {
		t.Errorf("%d connections were closed at once", s.closed.Load())
	}
}

// Connections whose requests are answered together find the limit not reached yet, and
// wait together.
func TestLimitIdle_ClosesWhatWaitsBeyondIt(t *testing.T) {
	t.Parallel()
	const limit, n = 3, 10
	release := make(chan struct{})
	var asked sync.WaitGroup
	asked.Add(n)
	s := newIdleServer(t, limit, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Done()
		<-release
		ok(w, r)
	}))
	var conns []net.Conn
	for range n {
		c := dial(t, "127.0.0.1", s.address)
		if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: h\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		conns = append(conns, c)
	}
	asked.Wait()
	close(release)
	gone := make(chan error, n)
	for _, c := range conns {
		go func() {
			r := bufio.NewReader(c)
			if resp, err := http.ReadResponse(r, nil); err == nil {
				resp.Body.Close()
			}
			_, err := r.ReadByte() // until the connection ends
			gone <- err
		}()
	}
	for range n - limit {
		if err := <-gone; errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatal("connections stay open")
		}
	}
	if s.closed.Load() != n-limit || len(gone) != 0 {
		t.Errorf("%d connections were closed, %d more have ended", s.closed.Load(), len(gone))
	}
}

func TestLimitIdle_NoneByZero(t *testing.T) {
	t.Parallel()
	s := newIdleServer(t, 0, http.HandlerFunc(ok))
	for range 20 {
		if s.get(t, dial(t, "127.0.0.1", s.address)) {
			t.Fatal("told to close")
		}
	}
}

func TestLimitIdle_LogsTheAddress(t *testing.T) {
	t.Parallel()
	var log strings.Builder
	l := &idleLimit{limit: 1, log: slog.New(slog.NewTextHandler(&log, nil)), idle: map[net.Conn]netip.Addr{}, count: map[netip.Addr]int{}}
	for range 3 {
		one, other := net.Pipe()
		defer other.Close()
		l.onState(one, http.StateActive)
		l.onState(one, http.StateIdle)
	}
	if strings.Count(log.String(), "too many of them wait") != 1 || !strings.Contains(log.String(), "address=pipe") {
		t.Errorf("logged %q", log.String())
	}
}
