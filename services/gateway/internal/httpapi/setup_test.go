package httpapi

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rafflecast/rafflecast/services/gateway/internal/cache"
	"github.com/rafflecast/rafflecast/services/gateway/internal/fanout"
	"github.com/rafflecast/rafflecast/services/gateway/internal/handshake"
	"github.com/rafflecast/rafflecast/services/gateway/internal/odds"
	"github.com/rafflecast/rafflecast/services/gateway/internal/sse"
)

// testBundle is an API over a feed that the test fills, behind an HTTP server.
type testBundle struct {
	t         *testing.T
	onSockets bool // on sockets in real time; else in memory, in the time of a synctest bubble
	cfg       Config
	fanout    fanout.Config
	feed      *fakeFeed
	hub       *fanout.Hub
	api       *API
	quick     atomic.Int64 // streams that net/http has not seen
	base      string       // URL
	client    *http.Client
}

// transport is a way on which updates leave the gateway.
type transport struct {
	name     string
	memory   bool // connections are in memory
	handlers bool // connections are never detached
	http2    bool
	quick    bool // streams are served without net/http
}

// The transports: handlers on connections in memory, handlers on sockets, HTTP/2,
// detached sockets, and such that net/http never has.
var (
	socketTransports = []transport{
		{name: "handlers", handlers: true}, {name: "http2", http2: true}, {name: "detached"}, {name: "quick", quick: true},
	}
	allTransports = append([]transport{{name: "memory", memory: true, handlers: true}}, socketTransports...)
)

// forEach runs a test on each of the transports. change, which may be nil, changes
// the configuration first.
func forEach(t *testing.T, transports []transport, change, test func(*testBundle)) {
	t.Helper()
	for _, tr := range transports {
		t.Run(tr.name, func(t *testing.T) {
			t.Parallel()
			if tr.memory {
				synctest.Test(t, func(t *testing.T) { test(setup(t, tr, newMemory(), change)) })
				return
			}
			var lc net.ListenConfig
			l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			test(setup(t, tr, l, change))
		})
	}
}

// openQuickly counts the streams that Open answers.
func (b *testBundle) openQuickly(header http.Header, r *http.Request) (fanout.Stream, bool) {
	stream, ok := b.api.Open(header, r)
	if ok {
		b.quick.Add(1)
	}
	return stream, ok
}

// setup starts a server on l that stops with the test.
func setup(t *testing.T, tr transport, l net.Listener, change func(*testBundle)) *testBundle {
	t.Helper()
	b := &testBundle{
		t: t, onSockets: !tr.memory, feed: newFakeFeed(), base: "http://" + l.Addr().String(), cfg: testConfig(t),
		fanout: fanout.Config{
			ConflationInterval: 50 * time.Millisecond, Heartbeat: 15 * time.Second, Lifetime: 30 * time.Minute,
			RetryMin: time.Second, RetryMax: 5 * time.Second, WriteTimeout: 30 * time.Second,
		},
	}
	if change != nil {
		change(b)
	}
	b.fanout.Cache = b.feed.cache
	var options []fanout.Option
	if tr.handlers {
		options = append(options, fanout.DisableDetach)
	}
	var err error
	if b.hub, err = fanout.NewHub(b.fanout, options...); err != nil {
		t.Fatal(err)
	}
	if b.api, err = New(b.cfg, b.feed.cache, b.feed, b.hub); err != nil {
		t.Fatal(err)
	}
	if tr.quick {
		cfg := handshake.Config{
			Hub: b.hub, Open: b.openQuickly,
			Full: func() bool { return false }, Allow: func(string) bool { return true },
			IsFrequent: func(string) bool { return false }, Waiting: new(atomic.Int64),
		}
		if l, err = handshake.Listen(l, cfg); err != nil {
			t.Fatal(err)
		}
	}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(!tr.http2)
	protocols.SetUnencryptedHTTP2(tr.http2)
	handler := b.api.Handler(http.NotFoundHandler())
	server := &http.Server{Protocols: protocols, Handler: handler, ConnContext: fanout.ConnContext}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = server.Serve(l) })
	running.Go(func() { _ = b.hub.Run(ctx) })
	dial := (&net.Dialer{}).DialContext
	if m, ok := l.(*memory); ok {
		dial = m.dial
	}
	connections := &http.Transport{DialContext: dial, Protocols: protocols}
	b.client = &http.Client{
		Transport:     connections,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	t.Cleanup(func() {
		connections.CloseIdleConnections()
		cancel()
		server.Close()
		running.Wait()
	})
	return b
}

// testConfig returns a configuration without limits on connections.
func testConfig(t *testing.T) Config {
	t.Helper()
	return Config{
		RetryMin: time.Second, RetryMax: 5 * time.Second, MaxRaffles: 100, BodyTimeout: 5 * time.Second,
		ForwardLimit: 10, ForwardTimeout: 10 * time.Second, Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
	}
}

// publish makes an update the newest and passes it to the hub.
func (b *testBundle) publish(u *odds.Update) {
	b.feed.put(u)
	b.hub.Publish(u)
}

// update returns an update of an open raffle.
func update(raffleID, version int64) *odds.Update { return updateIn(raffleID, version, "OPEN", false) }

// finalUpdate returns the update of a closed raffle.
func finalUpdate(raffleID, version int64) *odds.Update {
	return updateIn(raffleID, version, "CLOSED", true)
}

func updateIn(raffleID, version int64, state string, final bool) *odds.Update {
	data := fmt.Appendf(nil, `{"id":%d,"version":%d,"state":%q}`, raffleID, version, state)
	return updateWith(testEpoch, raffleID, version, state, final, data)
}

const testEpoch = "e"

// updateWith returns an update of a life of a raffle. A later life has a later epoch.
func updateWith(epoch string, raffleID, version int64, state string, final bool, data []byte) *odds.Update {
	u := &odds.Update{
		RaffleID: raffleID, Epoch: epoch, Version: version, State: state, Final: final,
		JSON: data, Position: odds.Position{Sequence: uint64(epoch[0])},
	}
	u.Frame = sse.AppendEvent(nil, odds.ID(u), odds.Event, data)
	u.Body = u.Frame[bytes.IndexByte(u.Frame, '\n')+1:]
	return u
}

// withIDs returns the event of an update as clients of several raffles get it.
func withIDs(u *odds.Update, ids string) string { return "id: " + ids + "\n" + string(u.Body) }

// frame returns the event of an update of an open raffle, as clients get it.
func frame(raffleID, version int64) string { return string(update(raffleID, version).Frame) }

// finalFrame returns the event of the update of a closed raffle.
func finalFrame(raffleID, version int64) string { return string(finalUpdate(raffleID, version).Frame) }

// get sends a request; pairs are header names and values.
func (b *testBundle) get(method, path string, pairs ...string) *http.Response {
	b.t.Helper()
	r, err := http.NewRequestWithContext(b.t.Context(), method, b.base+path, http.NoBody)
	if err != nil {
		b.t.Fatal(err)
	}
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i] == "Host" {
			r.Host = pairs[i+1]
		}
		r.Header.Add(pairs[i], pairs[i+1])
	}
	resp, err := b.client.Do(r)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { resp.Body.Close() })
	return resp
}

// body sends a request, and returns the status and body of the answer.
func (b *testBundle) body(method, path string, pairs ...string) (status int, body string) {
	b.t.Helper()
	resp := b.get(method, path, pairs...)
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return resp.StatusCode, string(data)
}

// refusal is an error as a client sees it.
type refusal struct {
	header  http.Header
	message string
}

// refused fails the test unless a request is answered with an error that has this
// status and reason.
func (b *testBundle) refused(method, path string, status int, reason string, pairs ...string) refusal {
	b.t.Helper()
	resp := b.get(method, path, pairs...)
	defer resp.Body.Close()
	var body struct {
		Error struct{ Code, Reason, Message string }
	}
	decoder := json.NewDecoder(resp.Body)
	decoder.DisallowUnknownFields()
	err := decoder.Decode(&body)
	e := body.Error
	if err != nil || resp.StatusCode != status || e.Reason != reason || e.Code == "" || e.Message == "" {
		b.t.Errorf("%s %.80s: %s %+v (%v), want %d %s", method, path, resp.Status, e, err, status, reason)
	}
	if got := resp.Header.Get("Content-Type"); got != "application/json; charset=utf-8" {
		b.t.Errorf("%s %.80s: content type %s", method, path, got)
	}
	return refusal{resp.Header, e.Message}
}

// events is a stream as a client sees it.
type events struct {
	t *testing.T
	*http.Response
	r *bufio.Reader
}

// subscribe opens a stream. It fails the test if the answer is another.
func (b *testBundle) subscribe(path string, pairs ...string) *events {
	b.t.Helper()
	resp := b.get(http.MethodGet, path, pairs...)
	if resp.StatusCode != http.StatusOK {
		b.t.Fatalf("%s: %s", path, resp.Status)
	}
	return &events{b.t, resp, bufio.NewReader(resp.Body)}
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

// fakeFeed fills a cache with what the test puts into it.
type fakeFeed struct {
	cache    *cache.Cache
	notReady bool
	filling  bool // a new stream is being filled
	// depth is how many updates of a raffle can be had by a Backfill.
	depth int

	mu        sync.Mutex
	stored    map[int64][]*odds.Update
	backfills int
}

func newFakeFeed() *fakeFeed {
	return &fakeFeed{cache: cache.New(), depth: 16, stored: make(map[int64][]*odds.Update)}
}

// put adds an update to the stream and to the cache.
func (f *fakeFeed) put(u *odds.Update) {
	f.store(u)
	f.cache.Put(u)
}

// store adds an update to the stream only.
func (f *fakeFeed) store(u *odds.Update) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.stored[u.RaffleID] = append(f.stored[u.RaffleID], u)
}

func (f *fakeFeed) Ready() bool { return !f.notReady }

func (f *fakeFeed) Complete() bool { return !f.notReady && !f.filling }

func (f *fakeFeed) Backfill(_ context.Context, raffleID int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.backfills++
	stored := f.stored[raffleID]
	f.cache.Backfill(raffleID, stored[max(0, len(stored)-f.depth):])
}
