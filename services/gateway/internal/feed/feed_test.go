package feed

import (
	"errors"
	"slices"
	"testing"

	"github.com/nats-io/nats.go"

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
	if _, err := New(Config{Connect: func(natsconn.Callbacks) (*nats.Conn, error) { return nil, cannot }}); !errors.Is(err, cannot) {
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
		if got, complete := b.cache.Since(1, odds.Seen{Epoch: "0", Version: last - missed}); !complete || int64(len(got)) != missed || got[0].Version != last-missed+1 {
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
	b.feed.Backfill(t.Context(), 1)
	b.expectSince(1, 1, true, 2, 3)
}

func TestFeed_ConcurrentBackfillsReadStreamOnce(t *testing.T) {
	t.Parallel()
	b, p := behindProxy(t)
	b.publishUnseen(1, 1, 2, 3)
	b.awaitVersion(1, 3)
	b.awaitSnapshot(MissedTail) // its last request must not come in between
	sub, err := b.js.Conn().SubscribeSync("$JS.API.DIRECT.GET." + oddsstream.Name)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.js.Conn().Flush(); err != nil {
		t.Fatal(err)
	}
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
	b.expectSince(1, 1, true, 2, 3)
	if n, _, _ := sub.Pending(); n != 1 {
		t.Errorf("the stream was read %d times", n)
	}
}
