package handshake

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rafflecast/rafflecast/services/gateway/internal/cache"
	"github.com/rafflecast/rafflecast/services/gateway/internal/fanout"
	"github.com/rafflecast/rafflecast/services/test/testenv"
)

// system serves plain requests with streams that say "quick", and all others by an
// http.Server that says "server".
type system struct {
	address string
	inner   *net.TCPListener
	hub     *fanout.Hub
	full    atomic.Bool
	stop    func()       // ends all of it
	refuses atomic.Bool  // streams of all addresses
	hurries atomic.Bool  // as if each address connected often
	waiting atomic.Int64 // connections, for their turn
	open    atomic.Int64 // streams for which Done was not called
}

func setup(t *testing.T) *system {
	t.Helper()
	return setupWith(t, time.Minute)
}

// setupWith is setup with the time that the server gives clients for the header of a request,
// and with changes of the listener.
func setupWith(t *testing.T, headerTimeout time.Duration, changes ...func(*listener)) *system {
	t.Helper()
	y := &system{}
	var err error
	y.hub, err = fanout.NewHub(fanout.Config{
		Cache: cache.New(), Heartbeat: time.Minute, Lifetime: time.Hour, WriteTimeout: 10 * time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	var lc net.ListenConfig
	lc.SetMultipathTCP(false) // as config.Listen has it
	inner, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	y.inner, y.address = inner.(*net.TCPListener), inner.Addr().String()
	l, err := Listen(inner, Config{Hub: y.hub, Open: y.stream, Full: y.full.Load, Allow: func(remote string) bool {
		if !strings.HasPrefix(remote, "127.0.0.1:") {
			t.Errorf("asked for %q", remote)
		}
		return !y.refuses.Load()
	}, IsFrequent: func(string) bool { return y.hurries.Load() }, Waiting: &y.waiting})
	if err != nil {
		t.Fatal(err)
	}
	for _, change := range changes {
		change(l.(*listener))
	}
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Served-For", r.RemoteAddr)
		io.WriteString(w, "server")
	})
	s := &http.Server{ReadHeaderTimeout: headerTimeout, Handler: handler}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { s.Serve(l) })
	running.Go(func() { y.hub.Run(ctx) })
	y.stop = sync.OnceFunc(func() {
		s.Close()
		cancel()
		running.Wait()
	})
	t.Cleanup(func() {
		y.stop()
		if n := y.open.Load(); n != 0 {
			t.Errorf("%d streams were not done", n)
		}
		if n := y.waiting.Load(); n != 0 {
			t.Errorf("%d connections wait for their turn", n)
		}
	})
	return y
}

func (y *system) stream(header http.Header, r *http.Request) (fanout.Stream, bool) {
	header.Set("Served-For", r.RemoteAddr)
	y.open.Add(1)
	return fanout.Stream{
		Opening: []byte("quick"), Subscriptions: []fanout.Subscription{{RaffleID: 1}},
		Done: func(fanout.Reason) { y.open.Add(-1) },
	}, true
}

func dial(t *testing.T, address string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(20 * time.Second))
	return c
}

// answer reads the answer's first n bytes, and checks that it is for c's address.
func answer(t *testing.T, c net.Conn, r *bufio.Reader, n int) string {
	t.Helper()
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := resp.Header.Get("Served-For"); got != c.LocalAddr().String() {
		t.Errorf("served for %q, want %q", got, c.LocalAddr())
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(resp.Body, b); err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestListener_ServesPlainRequests(t *testing.T) {
	t.Parallel()
	c := dial(t, setup(t).address)
	io.WriteString(c, plain)
	if got := answer(t, c, bufio.NewReader(c), 5); got != "quick" {
		t.Errorf("got %q", got)
	}
}

func TestListener_LeavesTheRestToTheServer(t *testing.T) {
	t.Parallel()
	address := setup(t).address
	for name, request := range map[string]string{
		"pipelined": plain + plain,
		"another":   strings.Replace(plain, "GET", "POST", 1),
	} {
		c := dial(t, address)
		io.WriteString(c, request)
		r := bufio.NewReader(c)
		for range strings.Count(request, "HTTP/1.1") {
			if got := answer(t, c, r, 6); got != "server" {
				t.Errorf("%s: got %q", name, got)
			}
		}
	}
}

// Nothing is lost of a request that arrives in parts.
func TestListener_ServerReadsWhatWasSeen(t *testing.T) {
	t.Parallel()
	c := dial(t, setup(t).address)
	// The server has accepted once it has answered the first request.
	io.WriteString(c, strings.Replace(plain, "GET", "POST", 1)+plain[:20])
	r := bufio.NewReader(c)
	if got := answer(t, c, r, 6); got != "server" {
		t.Fatalf("got %q", got)
	}
	io.WriteString(c, plain[20:])
	if got := answer(t, c, r, 6); got != "server" {
		t.Errorf("got %q", got)
	}
}

// A client that says nothing meets the server's timeouts.
func TestListener_LeavesSilentClientsToTheServer(t *testing.T) {
	t.Parallel()
	c := dial(t, setupWith(t, 100*time.Millisecond).address)
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("got %v, want the end of the connection", err)
	}
}

func TestListener_ServesNothingWhenFullOrDraining(t *testing.T) {
	t.Parallel()
	y := setup(t)
	for _, step := range []struct {
		before func()
		want   string
	}{
		{func() { y.full.Store(true) }, "server"},
		{func() { y.full.Store(false) }, "quick"},
		{func() {
			ended, cancel := context.WithCancel(t.Context())
			cancel()
			y.hub.Drain(ended, time.Hour)
		}, "server"},
	} {
		step.before()
		c := dial(t, y.address)
		io.WriteString(c, plain)
		if got := answer(t, c, bufio.NewReader(c), len(step.want)); got != step.want {
			t.Errorf("got %q, want %q", got, step.want)
		}
	}
}

func TestListener_ClosesStreamsThatAreNotAllowed(t *testing.T) {
	t.Parallel()
	y := setup(t)
	y.refuses.Store(true)
	c := dial(t, y.address)
	io.WriteString(c, plain)
	if n, err := c.Read(make([]byte, 1)); n != 0 || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("read %d bytes, %v; want the end of the connection", n, err)
	}
}

// ask connects and asks for a stream, as somebody who connects often or not.
func (y *system) ask(t *testing.T, hurries bool) net.Conn {
	t.Helper()
	before := y.waiting.Load()
	y.hurries.Store(hurries)
	c := dial(t, y.address)
	io.WriteString(c, plain)
	if hurries {
		testenv.Eventually(t, "it waits for its turn", 20*time.Second, func() bool { return y.waiting.Load() > before })
	}
	return c
}

// isClosed reports whether a connection is closed without an answer.
func isClosed(t *testing.T, c net.Conn) bool {
	t.Helper()
	n, err := c.Read(make([]byte, 1))
	return n == 0 && !errors.Is(err, os.ErrDeadlineExceeded)
}

// inTurn has one connection of the line served for each turn.
func inTurn(turns <-chan struct{}) func(*listener) {
	return func(l *listener) {
		l.lines.isTurn = func() bool {
			select {
			case <-turns:
				return true
			default:
				return false
			}
		}
	}
}

// paced has all connections wait for their turn, and the server serve them.
func paced(l *listener) { l.cfg.Open, l.cfg.IsPaced = nil, func(string) bool { return true } }

func TestListener_OthersWaitForTheirTurnBeforeFrequentOnes(t *testing.T) {
	t.Parallel()
	turns := make(chan struct{}, 1)
	y := setupWith(t, time.Minute, inTurn(turns), paced)
	frequent := y.ask(t, true)
	other := y.ask(t, false)
	testenv.Eventually(t, "both wait", 20*time.Second, func() bool { return y.waiting.Load() == 2 })
	for i, c := range []net.Conn{other, frequent} {
		turns <- struct{}{}
		if got, wait := answer(t, c, bufio.NewReader(c), 6), int64(1-i); got != "server" || y.waiting.Load() != wait {
			t.Errorf("answered %q while %d wait", got, y.waiting.Load())
		}
	}
}

func TestListener_FrequentAddressesWaitForTheirTurn(t *testing.T) {
	t.Parallel()
	turns := make(chan struct{}, 1)
	y := setupWith(t, time.Minute, inTurn(turns))
	first, second := y.ask(t, true), y.ask(t, true)
	other := y.ask(t, false)
	if got := answer(t, other, bufio.NewReader(other), 5); got != "quick" || y.waiting.Load() != 2 {
		t.Fatalf("another address is answered %q while %d wait", got, y.waiting.Load())
	}
	turns <- struct{}{}
	if got := answer(t, first, bufio.NewReader(first), 5); got != "quick" || y.waiting.Load() != 1 {
		t.Errorf("the first is answered %q while %d wait", got, y.waiting.Load())
	}
	y.stop()
	if !isClosed(t, second) {
		t.Error("the second is not closed at the end")
	}
}

func TestListener_ServesAllWhoWait(t *testing.T) {
	t.Parallel()
	y := setup(t)
	y.hurries.Store(true)
	for range 5 {
		for request, want := range map[string]string{plain: "quick", strings.Replace(plain, "GET", "POST", 1): "server"} {
			c := dial(t, y.address)
			io.WriteString(c, request)
			if got := answer(t, c, bufio.NewReader(c), len(want)); got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		}
	}
	testenv.Eventually(t, "nobody waits", 20*time.Second, func() bool { return y.waiting.Load() == 0 })
	c := y.ask(t, false)
	if got := answer(t, c, bufio.NewReader(c), 5); got != "quick" {
		t.Errorf("got %q", got)
	}
}

func TestListener_BoundsTheLines(t *testing.T) {
	t.Parallel()
	y := setupWith(t, time.Minute, inTurn(nil), paced, func(l *listener) {
		l.lines.others.longest, l.lines.frequent.longest = 1, 1
	})
	for i, hurries := range []bool{true, false} {
		y.hurries.Store(hurries)
		first, second := dial(t, y.address), dial(t, y.address)
		io.WriteString(first, plain)
		testenv.Eventually(t, "the first waits for its turn", 20*time.Second, func() bool { return y.waiting.Load() == int64(i+1) })
		io.WriteString(second, plain)
		if !isClosed(t, second) {
			t.Errorf("a connection waits although the line is full; the address connects often: %t", hurries)
		}
	}
}

func TestListener_CloseEndsAccept(t *testing.T) {
	t.Parallel()
	inner, err := new(net.ListenConfig).Listen(t.Context(), "tcp", testenv.FreeAddress(t)) // which no other process takes
	if err != nil {
		t.Fatal(err)
	}
	hub, err := fanout.NewHub(fanout.Config{Cache: cache.New()})
	if err != nil {
		t.Fatal(err)
	}
	l, err := Listen(inner, Config{Hub: hub, Waiting: new(atomic.Int64)})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error)
	go func() { _, err := l.Accept(); ended <- err }()
	l.Close()
	if err := <-ended; err == nil {
		t.Error("Accept returned a connection")
	}
	if c, err := net.Dial("tcp", inner.Addr().String()); err == nil {
		c.Close()
		t.Error("the port is still open")
	}
}
