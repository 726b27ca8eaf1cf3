package feed

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/protobuf/proto"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
	"github.com/rafflecast/rafflecast/services/gateway/internal/cache"
	"github.com/rafflecast/rafflecast/services/gateway/internal/odds"
	"github.com/rafflecast/rafflecast/services/internal/natsconn"
	"github.com/rafflecast/rafflecast/services/internal/oddsstream"
	"github.com/rafflecast/rafflecast/services/test/natstest"
)

// patienceOfTests is how long a test waits for something before it fails.
const patienceOfTests = 20 * time.Second

// testBundle is a feed with a real NATS server.
type testBundle struct {
	t      *testing.T
	server *natstest.Server
	js     jetstream.JetStream
	cache  *cache.Cache
	feed   *Feed
	causes chan Cause // of snapshots
	ready  chan struct{}

	mu        sync.Mutex
	published map[int64][]int64 // versions, by raffle
	last      map[int64]*odds.Update
	changed   chan struct{} // closed at the next update
}

// newBundle returns a bundle without a server and a feed.
func newBundle(t *testing.T) *testBundle {
	t.Helper()
	return &testBundle{
		t: t, cache: cache.New(), causes: make(chan Cause, 100), ready: make(chan struct{}, 10),
		published: make(map[int64][]int64), last: make(map[int64]*odds.Update), changed: make(chan struct{}),
	}
}

// setup starts a NATS server, without a stream.
func setup(t *testing.T) *testBundle {
	t.Helper()
	b := newBundle(t)
	b.server = natstest.Start(t)
	b.js = b.server.JetStream()
	return b
}

// config returns the configuration of a feed that connects to url.
func (b *testBundle) config(url string) Config {
	log := slog.New(slog.NewTextHandler(b.t.Output(), nil))
	return Config{
		Connect: func(callbacks natsconn.Callbacks) (*nats.Conn, error) {
			return natsconn.Connect(natsconn.Servers{URL: url}, "test", log, callbacks)
		},
		Cache: b.cache, Publish: b.publishedOne, Log: log,
		SnapshotTaken: func(c Cause) { b.causes <- c },
		OnReady:       func() { b.ready <- struct{}{} },
	}
}

func (b *testBundle) publishedOne(u *odds.Update) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if last := b.last[u.RaffleID]; last != nil && !u.Newer(last.Life, last.Version) {
		b.t.Errorf("raffle %d: %s was published after %s", u.RaffleID, odds.ID(u), odds.ID(last))
	}
	b.last[u.RaffleID] = u
	if newest := b.cache.Newest(u.RaffleID); (newest == nil || newest.Newer(0, 0) && newest.Version < u.Version) && !u.Removed {
		b.t.Errorf("raffle %d: version %d was published before the cache had it", u.RaffleID, u.Version)
	}
	b.published[u.RaffleID] = append(b.published[u.RaffleID], u.Version)
	close(b.changed)
	b.changed = make(chan struct{})
}

// run makes a feed and runs it until the test ends.
func (b *testBundle) run(cfg Config, change ...func(*Feed)) {
	b.t.Helper()
	var err error
	if b.feed, err = New(cfg); err != nil {
		b.t.Fatal(err)
	}
	for _, f := range change {
		f(b.feed)
	}
	ctx, cancel := context.WithCancel(b.t.Context())
	done := make(chan error, 1)
	go func() { done <- b.feed.Run(ctx) }()
	b.t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			b.t.Errorf("Run: %v", err)
		}
		if !b.feed.nc.IsClosed() {
			b.t.Error("Run has left the connection open")
		}
	})
}

// running returns a bundle with a stream and a feed that has its first snapshot.
func running(t *testing.T) *testBundle {
	t.Helper()
	b := setup(t)
	b.createStream()
	b.run(b.config(b.server.URL()))
	b.awaitSnapshot(Connected)
	return b
}

// behindProxy is running with a proxy between feed and server.
func behindProxy(t *testing.T, change ...func(*Feed)) (*testBundle, *proxy) {
	t.Helper()
	b := setup(t)
	b.createStream()
	p := newProxy(t, b.server)
	b.run(b.config(p.url()), change...)
	b.awaitSnapshot(Connected)
	return b, p
}

func (b *testBundle) createStream() {
	b.t.Helper()
	b.configure(func(*jetstream.StreamConfig) {})
}

// configure creates the stream, or changes its configuration.
func (b *testBundle) configure(change func(*jetstream.StreamConfig)) {
	b.t.Helper()
	config := oddsstream.Config(1)
	change(&config)
	_, err := oddsstream.Create(b.t.Context(), b.js, config)
	if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
		_, err = b.js.UpdateStream(b.t.Context(), config)
	}
	if err != nil {
		b.t.Fatal(err)
	}
}

// publishUnseen stores versions of a raffle without that the feed receives them.
func (b *testBundle) publishUnseen(raffleID int64, versions ...int64) {
	b.t.Helper()
	b.configure(func(c *jetstream.StreamConfig) { c.RePublish = nil })
	b.publish(raffleID, versions...)
	b.createStream()
}

func message(t *testing.T, raffleID, version int64) []byte {
	t.Helper()
	return encode(t, &rafflev1.Odds{Id: raffleID, Version: version, State: rafflev1.Raffle_OPEN})
}

func encode(t *testing.T, m *rafflev1.Odds) []byte {
	t.Helper()
	data, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// publish stores versions of a raffle in the stream.
func (b *testBundle) publish(raffleID int64, versions ...int64) {
	b.t.Helper()
	for _, v := range versions {
		b.publishRaw(oddsstream.Subject(raffleID), message(b.t, raffleID, v))
	}
}

func (b *testBundle) publishRaw(subject string, data []byte) {
	b.t.Helper()
	if _, err := b.js.Publish(b.t.Context(), subject, data); err != nil {
		b.t.Fatal(err)
	}
}

// republish sends a message as if the server had republished it from the stream.
func (b *testBundle) republish(subject, sequence string, data []byte) {
	b.t.Helper()
	msg := &nats.Msg{Subject: subject, Data: data, Header: nats.Header{}}
	if sequence != "" {
		msg.Header.Set(jetstream.SequenceHeader, sequence)
	}
	if err := b.js.Conn().PublishMsg(msg); err != nil {
		b.t.Fatal(err)
	}
}

// awaitVersion waits until this version of a raffle is the last that was published.
func (b *testBundle) awaitVersion(raffleID, version int64) {
	b.t.Helper()
	for deadline := time.After(patienceOfTests); ; {
		b.mu.Lock()
		versions, changed := b.published[raffleID], b.changed
		b.mu.Unlock()
		if n := len(versions); n > 0 && versions[n-1] == version {
			return
		}
		select {
		case <-changed:
		case <-deadline:
			b.t.Fatalf("raffle %d: %v were published, not %d", raffleID, versions, version)
		}
	}
}

// awaitSnapshot waits for a snapshot with this cause.
func (b *testBundle) awaitSnapshot(want Cause) {
	b.t.Helper()
	var others []Cause
	for deadline := time.After(patienceOfTests); ; {
		select {
		case got := <-b.causes:
			if got == want {
				return
			}
			others = append(others, got)
		case <-deadline:
			b.t.Fatalf("no snapshot for %q, but for %q", want, others)
		}
	}
}

// nextSnapshot waits for the next snapshot, which must have this cause.
func (b *testBundle) nextSnapshot(want Cause) {
	b.t.Helper()
	select {
	case got := <-b.causes:
		if got != want {
			b.t.Fatalf("a snapshot for %q, not %q", got, want)
		}
	case <-time.After(patienceOfTests):
		b.t.Fatalf("no snapshot for %q", want)
	}
}

// expectSince fails unless these versions of a raffle come after version.
func (b *testBundle) expectSince(raffleID, version int64, complete bool, want ...int64) {
	b.t.Helper()
	updates, ok := b.cache.Since(raffleID, odds.Seen{Epoch: "0", Version: version})
	got := make([]int64, len(updates))
	for i, u := range updates {
		got[i] = u.Version
	}
	if ok != complete || len(got) != len(want) {
		b.t.Fatalf("raffle %d since %d: %v, complete %t; want %v, %t", raffleID, version, got, ok, want, complete)
	}
	for i := range want {
		if got[i] != want[i] {
			b.t.Fatalf("raffle %d since %d: %v, want %v", raffleID, version, got, want)
		}
	}
}
