package feed

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/protobuf/proto"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
	"github.com/rafflecast/rafflecast/services/gateway/internal/odds"
	"github.com/rafflecast/rafflecast/services/internal/natsconn"
	"github.com/rafflecast/rafflecast/services/internal/oddsstream"
	"github.com/rafflecast/rafflecast/services/test/natstest"
)

// world is a feed that runs on a real NATS server.
type world struct {
	t      *testing.T
	server *natstest.Server
	js     jetstream.JetStream
	feed   *Feed
	causes chan Cause // of snapshots

	mu      sync.Mutex
	out     map[int64][]int64 // versions that went out, by raffle
	changed *sync.Cond
}

// setup returns a world with a stream, and nothing that runs.
func setup(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, server: natstest.Start(t), causes: make(chan Cause, 100), out: make(map[int64][]int64)}
	w.changed = sync.NewCond(&w.mu)
	w.js = w.server.JetStream()
	w.feed = w.newFeed(w.server.URL())
	return w
}

func (w *world) newFeed(url string) *Feed {
	return New(Config{
		NATS: natsconn.Servers{URL: url}, Out: w.take, Log: slog.New(slog.NewTextHandler(w.t.Output(), nil)),
		Snapshot: func(c Cause) { w.causes <- c },
	})
}

func (w *world) take(u *odds.Update) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if sent := w.out[u.RaffleID]; len(sent) > 0 && u.Version <= sent[len(sent)-1] {
		w.t.Errorf("raffle %d: version %d went out after %v", u.RaffleID, u.Version, sent)
	}
	w.out[u.RaffleID] = append(w.out[u.RaffleID], u.Version)
	w.changed.Broadcast()
}

// run runs the feed until the test ends.
func (w *world) run() {
	w.t.Helper()
	ctx, cancel := context.WithCancel(w.t.Context())
	done := make(chan error, 1)
	go func() { done <- w.feed.Run(ctx) }()
	w.t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			w.t.Errorf("Run: %v", err)
		}
	})
}

// started returns a world whose feed has its first snapshot.
func started(t *testing.T) *world {
	t.Helper()
	w := setup(t)
	w.makeStream()
	w.run()
	w.waitCause(Connected)
	return w
}

func (w *world) makeStream() {
	w.t.Helper()
	w.configure(func(*jetstream.StreamConfig) {})
}

// configure makes the stream, or changes it.
func (w *world) configure(change func(*jetstream.StreamConfig)) {
	w.t.Helper()
	config := oddsstream.Config(1)
	change(&config)
	if _, err := w.js.CreateOrUpdateStream(w.t.Context(), config); err != nil {
		w.t.Fatal(err)
	}
}

// mute stops the server from repeating what it stores, so that the feed misses it.
func mute(c *jetstream.StreamConfig) { c.RePublish = nil }

func message(t *testing.T, raffleID, version int64) []byte {
	t.Helper()
	data, err := proto.Marshal(&rafflev1.Odds{Id: raffleID, Version: version, State: rafflev1.Raffle_OPEN})
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// publish stores versions of a raffle in the stream.
func (w *world) publish(raffleID int64, versions ...int64) {
	w.t.Helper()
	for _, v := range versions {
		w.publishRaw(oddsstream.Subject(raffleID), message(w.t, raffleID, v))
	}
}

func (w *world) publishRaw(subject string, data []byte) {
	w.t.Helper()
	if _, err := w.js.Publish(w.t.Context(), subject, data); err != nil {
		w.t.Fatal(err)
	}
}

// repeat sends a message as if the server repeated it from the stream.
func (w *world) repeat(subject, sequence string, data []byte) {
	w.t.Helper()
	msg := &nats.Msg{Subject: subject, Data: data, Header: nats.Header{}}
	if sequence != "" {
		msg.Header.Set(jetstream.SequenceHeader, sequence)
	}
	if err := w.js.Conn().PublishMsg(msg); err != nil {
		w.t.Fatal(err)
	}
}

// waitFor waits until this version of a raffle has gone out.
func (w *world) waitFor(raffleID, version int64) {
	w.t.Helper()
	late := time.AfterFunc(20*time.Second, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.out[raffleID] = append(w.out[raffleID], -1) // gives up
		w.changed.Broadcast()
	})
	defer late.Stop()
	w.mu.Lock()
	defer w.mu.Unlock()
	for {
		sent := w.out[raffleID]
		if n := len(sent); n > 0 && sent[n-1] == version {
			return
		} else if n > 0 && sent[n-1] == -1 {
			w.t.Fatalf("raffle %d: %v went out, not %d", raffleID, sent[:n-1], version)
		}
		w.changed.Wait()
	}
}

// waitCause waits for a snapshot for this cause.
func (w *world) waitCause(want Cause) {
	w.t.Helper()
	var others []Cause
	for {
		select {
		case got := <-w.causes:
			if got == want {
				return
			}
			others = append(others, got)
		case <-time.After(20 * time.Second):
			w.t.Fatalf("no snapshot for %q, but for %q", want, others)
		}
	}
}

// wait waits for a signal.
func wait(t *testing.T, signal <-chan struct{}, without string) {
	t.Helper()
	select {
	case <-signal:
	case <-time.After(20 * time.Second):
		t.Fatal(without)
	}
}

// nextCause waits for the next snapshot, which must be for this cause.
func (w *world) nextCause(want Cause) {
	w.t.Helper()
	select {
	case got := <-w.causes:
		if got != want {
			w.t.Fatalf("a snapshot for %q, not %q", got, want)
		}
	case <-time.After(20 * time.Second):
		w.t.Fatalf("no snapshot for %q", want)
	}
}

// recent returns the versions of a raffle that the feed has at hand.
func (w *world) recent(raffleID int64) []int64 {
	var versions []int64
	for _, u := range w.feed.board.updates(raffleID) {
		versions = append(versions, u.Version)
	}
	return versions
}
