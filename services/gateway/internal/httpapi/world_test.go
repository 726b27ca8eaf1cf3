package httpapi

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rafflecast/rafflecast/services/gateway/internal/fanout"
	"github.com/rafflecast/rafflecast/services/gateway/internal/odds"
	"github.com/rafflecast/rafflecast/services/gateway/internal/sse"
)

// world is the edge over a feed that the test fills, behind a real HTTP server.
type world struct {
	t      *testing.T
	real   bool // on sockets, in real time; else in memory, in the time of a bubble
	cfg    Config
	fanout fanout.Config
	feed   *fakeFeed
	hub    *fanout.Hub
	api    *API
	base   string
	client *http.Client
}

// each runs a test on each way out: ordinary handlers in memory, ordinary
// handlers on sockets, HTTP/2, and detached sockets. prepare, which may be nil,
// changes the configuration.
func each(t *testing.T, prepare func(*world), test func(w *world)) {
	t.Helper()
	t.Run("memory", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) { run(t, newMemory(), way{ordinary: true}, prepare, test) })
	})
	for name, how := range map[string]way{"handlers": {ordinary: true}, "http2": {http2: true}, "detached": {}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var lc net.ListenConfig
			l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			run(t, l, how, prepare, test)
		})
	}
}

// way is how updates get out.
type way struct{ ordinary, http2 bool }

func run(t *testing.T, l net.Listener, how way, prepare func(*world), test func(w *world)) {
	t.Helper()
	w := &world{
		t: t, feed: newFakeFeed(), base: "http://" + l.Addr().String(),
		cfg: Config{RetryMin: time.Second, RetryMax: 5 * time.Second, MaxRaffles: 100, BodyTimeout: 5 * time.Second},
		fanout: fanout.Config{
			Spacing: 50 * time.Millisecond, Heartbeat: 15 * time.Second, Lifetime: 30 * time.Minute,
			RetryMin: time.Second, RetryMax: 5 * time.Second, WriteTimeout: 30 * time.Second, Ordinary: how.ordinary,
		},
	}
	dial := (&net.Dialer{}).DialContext
	if m, ok := l.(*memory); ok {
		dial = m.dial
	} else {
		w.real = true
	}
	if prepare != nil {
		prepare(w)
	}
	w.fanout.Newest = w.feed.Newest
	hub, err := fanout.NewHub(w.fanout)
	if err != nil {
		t.Fatal(err)
	}
	w.hub = hub
	w.api = New(w.cfg, w.feed, hub)
	protocols := new(http.Protocols)
	protocols.SetHTTP1(!how.http2)
	protocols.SetUnencryptedHTTP2(how.http2)
	server := &http.Server{Protocols: protocols, Handler: w.api.Handler(http.NotFoundHandler()), ConnContext: fanout.ConnContext}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- server.Serve(l) }()
	go func() { done <- hub.Run(ctx) }()
	transport := &http.Transport{DialContext: dial, Protocols: protocols}
	w.client = &http.Client{Transport: transport}
	defer func() {
		transport.CloseIdleConnections()
		cancel()
		server.Close()
		<-done
		<-done
	}()
	test(w)
}

// publish makes an update the newest and hands it to the hub.
func (w *world) publish(u *odds.Update) {
	w.feed.put(u)
	w.hub.Publish(u)
}

// update returns an open raffle's update; a final one where final says so.
func update(raffleID, version int64, final ...bool) *odds.Update {
	u := &odds.Update{RaffleID: raffleID, Version: version, State: "OPEN"}
	if slices.Contains(final, true) {
		u.State, u.Final = "CLOSED", true
	}
	u.JSON = fmt.Appendf(nil, `{"id":%d,"version":%d,"state":%q}`, raffleID, version, u.State)
	u.Frame = sse.AppendEvent(nil, odds.ID(raffleID, version), odds.Event, u.JSON)
	return u
}

// get sends a request; pairs are header names and values.
func (w *world) get(method, path string, pairs ...string) *http.Response {
	w.t.Helper()
	r, err := http.NewRequestWithContext(w.t.Context(), method, w.base+path, http.NoBody)
	if err != nil {
		w.t.Fatal(err)
	}
	for i := 0; i < len(pairs); i += 2 {
		r.Header.Add(pairs[i], pairs[i+1])
	}
	resp, err := w.client.Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { resp.Body.Close() })
	return resp
}

// body returns the status and body of an answer.
func (w *world) body(method, path string, pairs ...string) (status int, body string) {
	w.t.Helper()
	resp := w.get(method, path, pairs...)
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return resp.StatusCode, string(data)
}

// events is a stream as a client sees it.
type events struct {
	t *testing.T
	*http.Response
	r *bufio.Reader
}

// subscribe opens a stream, and fails where there is none.
func (w *world) subscribe(path string, pairs ...string) *events {
	w.t.Helper()
	resp := w.get(http.MethodGet, path, pairs...)
	if resp.StatusCode != http.StatusOK {
		w.t.Fatalf("%s: %s", path, resp.Status)
	}
	return &events{w.t, resp, bufio.NewReader(resp.Body)}
}

// next returns the next block of lines, or "" at the end of the stream.
func (e *events) next() string {
	e.t.Helper()
	var block strings.Builder
	for {
		line, err := e.r.ReadString('\n')
		if errors.Is(err, io.EOF) && line == "" && block.Len() == 0 {
			return ""
		}
		if err != nil {
			e.t.Fatalf("after %q: %v", block.String()+line, err)
		}
		block.WriteString(line)
		if line == "\n" {
			return block.String()
		}
	}
}

// expect fails unless the next blocks are these.
func (e *events) expect(blocks ...string) {
	e.t.Helper()
	for _, want := range blocks {
		if got := e.next(); got != want {
			e.t.Fatalf("got %q, want %q", got, want)
		}
	}
}

// opening returns the next block without the retry line that it begins with.
func (e *events) opening() string {
	e.t.Helper()
	block := e.next()
	retry, rest, _ := strings.Cut(block, "\n")
	var ms int
	if _, err := fmt.Sscanf(retry, "retry: %d", &ms); err != nil || ms < 1000 || ms > 5000 {
		e.t.Fatalf("the first block begins with %q", retry)
	}
	return rest
}

func isHeartbeat(block string) bool {
	return strings.HasPrefix(block, "event: heartbeat\ndata: {\"at\":\"")
}

// fakeFeed knows what the test puts into it.
type fakeFeed struct {
	mu       sync.Mutex
	notReady bool
	kept     int // updates that Since has at hand
	stored   int // that it has after a Recall
	updates  map[int64][]*odds.Update
}

func newFakeFeed() *fakeFeed {
	return &fakeFeed{kept: 4, stored: 8, updates: make(map[int64][]*odds.Update)}
}

func (f *fakeFeed) put(u *odds.Update) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.updates[u.RaffleID] = append(f.updates[u.RaffleID], u)
}

func (f *fakeFeed) Ready() bool { return !f.notReady }

func (f *fakeFeed) Newest(raffleID int64) *odds.Update {
	f.mu.Lock()
	defer f.mu.Unlock()
	if known := f.updates[raffleID]; len(known) > 0 {
		return known[len(known)-1]
	}
	return nil
}

func (f *fakeFeed) Since(raffleID, version int64) (updates []*odds.Update, complete bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	known := f.updates[raffleID]
	known = known[max(0, len(known)-f.kept):]
	for i, u := range known {
		if u.Version > version {
			if i == 0 {
				return known[len(known)-1:], false
			}
			return known[i:], true
		}
	}
	return nil, true
}

func (f *fakeFeed) Recall(context.Context, int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.kept = f.stored
}

func (f *fakeFeed) List(after int64, limit int, keep func(*odds.Update) bool) []*odds.Update {
	var found []*odds.Update
	for id := after + 1; id <= int64(len(f.updates)) && len(found) < limit; id++ {
		if u := f.Newest(id); keep(u) {
			found = append(found, u)
		}
	}
	return found
}

// memory is a listener whose connections are in memory, so that a bubble's time
// passes while they are idle.
type memory struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newMemory() *memory {
	return &memory{conns: make(chan net.Conn), closed: make(chan struct{})}
}

func (m *memory) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	client, server := net.Pipe()
	select {
	case m.conns <- server:
		return client, nil
	case <-m.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Accept is of net.Listener.
func (m *memory) Accept() (net.Conn, error) {
	select {
	case c := <-m.conns:
		return c, nil
	case <-m.closed:
		return nil, net.ErrClosed
	}
}

// Close is of net.Listener.
func (m *memory) Close() error {
	m.once.Do(func() { close(m.closed) })
	return nil
}

// Addr is of net.Listener.
func (m *memory) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 80} }
