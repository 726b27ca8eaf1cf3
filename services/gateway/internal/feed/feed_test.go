package feed

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
	"github.com/rafflecast/rafflecast/services/gateway/internal/odds"
	"github.com/rafflecast/rafflecast/services/internal/natsconn"
	"github.com/rafflecast/rafflecast/services/internal/oddsstream"
	"github.com/rafflecast/rafflecast/services/test/testenv"
)

func TestFeed_FirstSnapshotHasAllRaffles(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.createStream()
	const raffles = 2500 // more than a batch
	for id := range int64(raffles) {
		if _, err := b.js.PublishAsync(oddsstream.Subject(id+1), message(t, id+1, 1)); err != nil {
			t.Fatal(err)
		}
	}
	<-b.js.PublishAsyncComplete()
	b.publish(7, 2, 3)
	b.run(b.config(b.server.URL()))
	testenv.Receive(t, "OnReady", patienceOfTests, b.ready)
	b.awaitSnapshot(Connected)
	if !b.feed.Ready() || b.cache.Len() != raffles {
		t.Errorf("ready %t, %d raffles", b.feed.Ready(), b.cache.Len())
	}
	if got := b.cache.Newest(7); got == nil || got.Version != 3 || got.Delivery != nil {
		t.Errorf("raffle 7: %+v", got)
	}
	b.feed.requestSnapshot(Gap)
	b.nextSnapshot(Gap)
	if len(b.ready) > 0 {
		t.Error("OnReady was called twice")
	}
}

func TestFeed_FailsIfConnectionCannotBe(t *testing.T) {
	t.Parallel()
	cannot := errors.New("cannot be")
	connect := func(natsconn.Callbacks) (*nats.Conn, error) { return nil, cannot }
	if _, err := New(Config{Connect: connect}); !errors.Is(err, cannot) {
		t.Errorf("got %v", err)
	}
}

func TestFeed_PublishesInOrder(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.createStream()
	cfg := b.config(b.server.URL())
	received := make(chan *odds.Update, 10)
	cfg.Received = func(u *odds.Update) { received <- u }
	b.run(cfg)
	b.awaitSnapshot(Connected)
	b.publish(1, 1, 2, 5)
	b.publish(2, 1)
	b.awaitVersion(2, 1)
	b.mu.Lock()
	defer b.mu.Unlock()
	if got := b.published[1]; !slices.Equal(got, []int64{1, 2, 5}) {
		t.Errorf("raffle 1: %v", got)
	}
	if u := <-received; u.Version != 1 || u.Delivery == nil || u.Delivery.Received.IsZero() {
		t.Errorf("received first: %+v", u)
	}
	b.expectSince(1, 1, true, 2, 5)
}

func TestFeed_VersionsNeverFall(t *testing.T) {
	t.Parallel()
	b := running(t)
	b.publish(1, 5, 3, 5, 4, 6) // publishedOne fails the test if one falls
	b.awaitVersion(1, 6)
	b.expectSince(1, 5, true, 6)
}

func TestFeed_DropsMalformedMessages(t *testing.T) {
	t.Parallel()
	b := running(t)
	b.publishRaw(oddsstream.Subject(1), []byte("not protobuf"))
	b.publishRaw(oddsstream.Subject(1), nil)
	b.publishRaw("raffle.odds.x", message(t, 1, 3))
	b.publishRaw(oddsstream.Subject(2), message(t, 1, 4)) // another raffle's
	b.republish("raffle.live.1", "", message(t, 1, 5))    // not from the stream
	b.republish("raffle.live.1", "-1", message(t, 1, 6))
	b.publish(1, 7)
	b.awaitVersion(1, 7)
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.published) != 1 || !slices.Equal(b.published[1], []int64{7}) {
		t.Errorf("published: %v", b.published)
	}
}

// A flood of messages that can't be read does not become a flood of log lines.
func TestFeed_LogsFewOfManyMalformedMessages(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	var log strings.Builder
	cfg := b.config("nats://127.0.0.1:1")
	cfg.Log = slog.New(slog.NewTextHandler(&log, nil))
	var err error
	if b.feed, err = New(cfg); err != nil {
		t.Fatal(err)
	}
	defer b.feed.nc.Close()
	for i := range uint64(1000) {
		b.receive(i+1, 1, []byte("not protobuf"))
	}
	if n := strings.Count(log.String(), "dropped a message"); n < 1 || n > 20 {
		t.Errorf("%d lines", n)
	}
}

// receive has the feed handle a message as if it had been received live.
func (b *testBundle) receive(sequence uint64, raffleID int64, data []byte) {
	msg := &nats.Msg{Subject: fmt.Sprint("raffle.live.", raffleID), Data: data, Header: nats.Header{}}
	msg.Header.Set(jetstream.SequenceHeader, fmt.Sprint(sequence))
	b.feed.onMessage(msg)
}

// What was missed, or may have been, must not look complete, from the very message that
// shows it.
func TestFeed_InvalidatesCacheWhenMessagesAreMissed(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		shows    uint64 // sequence of the message that shows it
		data     []byte
		complete bool
		cause    Cause
	}{
		"nothing is missed":      {4, message(t, 2, 1), true, ""},
		"bad data alone":         {4, []byte("not protobuf"), true, ""},
		"a gap":                  {5, message(t, 2, 1), false, Gap},
		"a gap before bad data":  {5, []byte("not protobuf"), false, Gap},
		"the same sequence":      {3, message(t, 2, 1), false, AnotherStream},
		"a sequence that begins": {1, message(t, 2, 1), false, AnotherStream},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBundle(t)
			var err error
			if b.feed, err = New(b.config("nats://127.0.0.1:1")); err != nil { // it takes no snapshot
				t.Fatal(err)
			}
			defer b.feed.nc.Close()
			for v := range int64(3) {
				b.receive(uint64(v)+1, 1, message(t, 1, v+1))
			}
			b.receive(tt.shows, 2, tt.data)
			b.receive(tt.shows+1, 1, message(t, 1, 7))
			if tt.complete {
				b.expectSince(1, 1, true, 2, 3, 7)
			} else {
				b.expectSince(1, 1, false, 7)
			}
			select {
			case cause := <-b.feed.resync:
				if cause != tt.cause {
					t.Errorf("a snapshot was requested for %q", cause)
				}
			default:
				if !tt.complete {
					t.Errorf("no snapshot was requested for %q", tt.cause)
				}
			}
		})
	}
}

// A stream that begins anew is another one from its first message on: it may have another
// raffle of the same id, and its gaps are noticed.
func TestFeed_StreamThatBeginsAnewIsAnother(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	var err error
	if b.feed, err = New(b.config("nats://127.0.0.1:1")); err != nil { // it takes no snapshot
		t.Fatal(err)
	}
	defer b.feed.nc.Close()
	for v := range int64(9) {
		b.receive(uint64(v)+1, 1, encode(t, &rafflev1.Odds{Id: 1, Epoch: "old", Version: v + 1}))
	}
	b.receive(1, 1, encode(t, &rafflev1.Odds{Id: 1, Epoch: "new", Version: 3}))
	if u := b.cache.Newest(1); u.Epoch != "new" || u.Version != 3 {
		t.Errorf("newest: %s", odds.ID(u))
	}
	b.receive(2, 1, encode(t, &rafflev1.Odds{Id: 1, Epoch: "new", Version: 4}))
	b.receive(4, 1, encode(t, &rafflev1.Odds{Id: 1, Epoch: "new", Version: 9}))
	if got, complete := b.cache.Since(1, odds.Seen{Epoch: "new", Version: 4}); complete || len(got) != 1 {
		t.Errorf("%d updates, complete %t", len(got), complete)
	}
}

// A raffle's updates must never look complete if some were missed.
func TestFeed_MissedUpdatesAreNotHidden(t *testing.T) {
	t.Parallel()
	b := running(t)
	b.publish(1, 1, 2)
	b.awaitVersion(1, 2)
	b.publishUnseen(1, 3)
	b.publish(1, 4)
	b.awaitVersion(1, 4)
	b.expectSince(1, 2, false, 4)
	b.awaitSnapshot(Gap)
	b.publish(1, 5)
	b.awaitVersion(1, 5)
	b.expectSince(1, 2, false, 5)
	b.expectSince(1, 4, true, 5) // the snapshot showed that nothing was missed since
}

// An instance that has just started knows only the newest update of each raffle.
func TestFeed_BackfillsFromStream(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.createStream()
	const last = int64(oddsstream.MessagesPerSubject) + 100
	for v := range last {
		b.publish(1, v+1)
	}
	b.publish(2, 1, 2)
	b.run(b.config(b.server.URL()))
	b.awaitSnapshot(Connected)
	b.expectSince(1, last-10, false, last)
	b.feed.Backfill(t.Context(), 1)
	for _, missed := range []int64{10, int64(oddsstream.MessagesPerSubject)} { // all that the stream holds
		got, complete := b.cache.Since(1, odds.Seen{Epoch: "0", Version: last - missed})
		if !complete || int64(len(got)) != missed || got[0].Version != last-missed+1 {
			t.Errorf("since %d: %d updates, complete %t", last-missed, len(got), complete)
		}
	}
	b.expectSince(1, 50, false, last) // the stream has dropped version 51
	b.publish(1, last+1)
	b.awaitVersion(1, last+1)
	b.expectSince(1, last-1, true, last, last+1)

	b.feed.Backfill(t.Context(), 3) // unknown
	b.server.Stop()
	b.feed.Backfill(t.Context(), 2) // NATS is unavailable
	b.expectSince(2, 1, true, 2)
	if b.cache.Backfilled(2) {
		t.Error("raffle 2 counts as backfilled")
	}
}

// A backfill that is cut off must not pass for all that the stream holds.
func TestFeed_BackfillThatIsCutOffChangesNothing(t *testing.T) {
	t.Parallel()
	b, p := behindProxy(t)
	b.publishUnseen(1, 1, 2, 3)
	b.awaitVersion(1, 3)
	p.silence()
	b.feed.Backfill(t.Context(), 1)
	if b.cache.Backfilled(1) {
		t.Error("it counts as backfilled")
	}
	p.heal()
	// By now the connection may count as stale, so that it is being made anew.
	for deadline := time.Now().Add(patienceOfTests); !b.cache.Backfilled(1) && time.Now().Before(deadline); {
		b.feed.Backfill(t.Context(), 1)
	}
	b.expectSince(1, 1, true, 2, 3)
}

// Another account may export JetStream's API under a prefix.
func TestFeed_UsesAPIPrefix(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.createStream()
	b.publish(1, 1, 2, 3)
	const prefix = "odds.api"
	sub, err := b.js.Conn().Subscribe(prefix+".>", func(msg *nats.Msg) { // as an import would
		msg.Subject = jetstream.DefaultAPIPrefix + strings.TrimPrefix(msg.Subject, prefix+".")
		msg.Sub = nil
		if err := b.js.Conn().PublishMsg(msg); err != nil {
			t.Error(err)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	cfg := b.config(b.server.URL())
	cfg.APIPrefix = prefix
	b.run(cfg)
	b.awaitSnapshot(Connected)
	before, err := sub.Delivered()
	if err != nil || before == 0 {
		t.Errorf("%d requests for the snapshot, %v", before, err)
	}
	b.feed.Backfill(t.Context(), 1)
	b.expectSince(1, 1, true, 2, 3)
	if after, err := sub.Delivered(); err != nil || after == before {
		t.Errorf("no request for the backfill, %v", err)
	}
}

// The caller that began a backfill may leave while others wait for it.
func TestFeed_BackfillOutlivesItsCaller(t *testing.T) {
	t.Parallel()
	b, p := behindProxy(t)
	b.publishUnseen(1, 1, 2, 3)
	b.awaitVersion(1, 3)
	reads := b.countReads()
	p.silence()
	ctx, leave := context.WithCancel(t.Context())
	left, done := make(chan struct{}), make(chan struct{})
	go func() { b.feed.Backfill(ctx, 1); close(left) }()
	p.awaitHeld(t, "DIRECT.GET")
	go func() { b.feed.Backfill(t.Context(), 1); close(done) }()
	leave()
	testenv.Receive(t, "the return of the first caller", patienceOfTests, left)
	p.heal()
	testenv.Receive(t, "the end of the backfill", patienceOfTests, done)
	b.expectSince(1, 1, true, 2, 3)
	if n := reads(); n != 1 {
		t.Errorf("the stream was read %d times", n)
	}
}

// countReads returns a function that returns how often a raffle was read from the stream
// since, if the last read has ended.
func (b *testBundle) countReads() func() int {
	b.t.Helper()
	sub, err := b.js.Conn().SubscribeSync(jetstream.DefaultAPIPrefix + "DIRECT.GET." + oddsstream.Name)
	if err != nil {
		b.t.Fatal(err)
	}
	flush := func() {
		if err := b.js.Conn().Flush(); err != nil {
			b.t.Fatal(err)
		}
	}
	flush()
	return func() int {
		if _, err := sub.NextMsg(patienceOfTests); err != nil {
			return 0
		}
		flush()
		n, _, _ := sub.Pending()
		return n + 1
	}
}

// Without a connection a backfill must not leave subscriptions behind.
func TestFeed_BackfillWithoutConnectionLeavesNothing(t *testing.T) {
	t.Parallel()
	b := running(t)
	b.publish(1, 1)
	b.awaitVersion(1, 1)
	before := b.feed.nc.NumSubscriptions()
	b.server.Stop()
	testenv.Eventually(t, "the connection is lost", patienceOfTests, func() bool { return !b.feed.Connected() })
	for range 10 {
		b.feed.Backfill(t.Context(), 1)
		if _, err := b.feed.readStored(t.Context(), 1); err == nil { // lost after Backfill has looked
			t.Error("a request without a connection succeeds")
		}
	}
	if n := b.feed.nc.NumSubscriptions(); n > before {
		t.Errorf("%d subscriptions, %d before", n, before)
	}
}

func TestFeed_ConcurrentBackfillsReadStreamOnce(t *testing.T) {
	t.Parallel()
	b, p := behindProxy(t)
	b.publishUnseen(1, 1, 2, 3)
	b.awaitVersion(1, 3)
	reads := b.countReads()
	p.silence() // until all have asked
	const callers = 10
	done := make(chan struct{}, callers)
	for range callers {
		go func() { b.feed.Backfill(t.Context(), 1); done <- struct{}{} }()
	}
	p.awaitHeld(t, "DIRECT.GET")
	p.heal()
	for range callers {
		testenv.Receive(t, "a backfill", patienceOfTests, done)
	}
	b.feed.Backfill(t.Context(), 1)
	b.expectSince(1, 1, true, 2, 3)
	if n := reads(); n != 1 {
		t.Errorf("the stream was read %d times", n)
	}
}
