package feed

import (
	"testing"
	"time"

	"github.com/rafflecast/rafflecast/services/internal/oddsstream"
	"github.com/rafflecast/rafflecast/services/test/testenv"
)

func TestFeed_StartsBeforeStream(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.run(b.config(b.server.URL()))
	b.createStream()
	b.publish(1, 1)
	b.awaitSnapshot(Connected)
	b.awaitVersion(1, 1)
}

func TestFeed_StartsBeforeNATS(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.createStream()
	b.publish(1, 1)
	b.server.Stop()
	b.run(b.config(b.server.URL()))
	b.server.Start()
	b.awaitVersion(1, 1)
}

func TestFeed_ReconnectFetchesWhatWasMissed(t *testing.T) {
	t.Parallel()
	b := running(t)
	b.publish(1, 1)
	b.awaitVersion(1, 1)
	for v := int64(2); v < 4; v++ {
		b.server.Stop()
		if !b.feed.Ready() || b.cache.Newest(1).Version != v-1 {
			t.Error("what was known is forgotten while NATS is unavailable")
		}
		b.server.Start()
		b.awaitSnapshot(Reconnected)
		b.publish(1, v)
		b.awaitVersion(1, v)
	}
}

func TestFeed_PartitionHeals(t *testing.T) {
	t.Parallel()
	b, proxy := behindProxy(t)
	b.publish(1, 1)
	b.awaitVersion(1, 1)
	proxy.cut()
	b.publish(1, 2)
	proxy.heal()
	b.awaitVersion(1, 2)
	b.awaitSnapshot(Reconnected)
}

func TestFeed_ShortSilenceLosesNothing(t *testing.T) {
	t.Parallel()
	b, proxy := behindProxy(t)
	proxy.silence()
	b.publish(1, 1, 2)
	proxy.heal()
	b.awaitVersion(1, 2)
	if n := len(proxy.accepted); n != 1 {
		t.Errorf("%d connections", n)
	}
}

func TestFeed_SilentPartitionHeals(t *testing.T) {
	t.Parallel()
	// When the proxy falls silent, an answer will be awaited for longer than the test.
	b, proxy := behindProxy(t, func(f *Feed) { f.checkInterval, f.requestTimeout = 10*time.Millisecond, time.Hour })
	b.publish(1, 1)
	b.awaitVersion(1, 1)
	testenv.Receive(t, "the first connection", patienceOfTests, proxy.accepted)
	proxy.silence()
	b.publish(1, 2)
	testenv.Receive(t, "another connection, although nothing has closed the first", patienceOfTests, proxy.accepted)
	b.publish(1, 3)
	if newest := b.cache.Newest(1).Version; newest != 1 || !b.feed.Ready() {
		t.Errorf("in the silence: version %d, ready %t", newest, b.feed.Ready())
	}
	proxy.heal()
	b.awaitVersion(1, 3)
	b.nextSnapshot(Reconnected)
}

func TestFeed_SilentPartitionIsLeftForAnotherServer(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.createStream()
	silent, other := newProxy(t, b.server), newProxy(t, b.server)
	other.cut()
	b.run(b.config(silent.url() + "," + other.url()))
	b.awaitSnapshot(Connected)
	b.publish(1, 1)
	b.awaitVersion(1, 1)
	silent.silence()
	b.publish(1, 2)
	other.heal()
	b.awaitVersion(1, 2)
	b.nextSnapshot(Reconnected)
	b.publish(1, 3)
	b.awaitVersion(1, 3)
}

func TestFeed_GapLeadsToSnapshot(t *testing.T) {
	t.Parallel()
	b := running(t)
	b.publish(1, 1)
	b.publish(2, 1)
	b.awaitVersion(2, 1)
	b.publishUnseen(1, 2)
	b.publish(2, 2) // the next sequence but one
	b.awaitSnapshot(Gap)
	b.awaitVersion(1, 2)
}

func TestFeed_MissedTailIsFetched(t *testing.T) {
	t.Parallel()
	b := running(t)
	b.publishUnseen(1, 1, 2)
	b.awaitVersion(1, 2)
	b.awaitSnapshot(MissedTail)
}

func TestFeed_StreamCreatedAgain(t *testing.T) {
	t.Parallel()
	b := running(t)
	b.publish(1, 1, 2, 3)
	b.awaitVersion(1, 3)
	if err := b.js.DeleteStream(t.Context(), oddsstream.Name); err != nil {
		t.Fatal(err)
	}
	b.createStream()
	b.publish(1, 4) // sequence 1 again: no gap shows it
	b.awaitVersion(1, 4)
	b.publishUnseen(1, 5)
	b.awaitVersion(1, 5)
	b.awaitSnapshot(AnotherStream)
}

// The sequences of a stream that was created again begin anew, so that none of them shows
// a gap.
func TestFeed_StreamCreatedAgainHidesNothing(t *testing.T) {
	t.Parallel()
	b := running(t)
	b.publish(1, 1, 2, 3)
	b.awaitVersion(1, 3)
	if err := b.js.DeleteStream(t.Context(), oddsstream.Name); err != nil {
		t.Fatal(err)
	}
	b.publishUnseen(1, 4, 5)
	b.publish(1, 7)
	b.awaitVersion(1, 7)
	b.expectSince(1, 3, false, 7)
	b.awaitSnapshot(AnotherStream)
	b.expectSince(1, 3, false, 7)
}

func TestFeed_StreamThatLostItsTail(t *testing.T) {
	t.Parallel()
	b := running(t)
	b.publish(1, 1)
	b.awaitVersion(1, 1)
	// Received, but no longer in the stream: as after a power cut.
	b.republish("raffle.live.1", "2", message(t, 1, 2))
	b.awaitVersion(1, 2)
	b.awaitSnapshot(ShorterStream)
	b.publishUnseen(1, 3) // sequence 2 once more
	b.awaitVersion(1, 3)
	b.awaitSnapshot(MissedTail)
}

// Messages that take the sequences of those that the stream has lost are not taken for
// another stream once that is known.
func TestFeed_StreamThatLostItsTailGoesOn(t *testing.T) {
	t.Parallel()
	b := running(t)
	b.publish(1, 1)
	b.awaitVersion(1, 1)
	b.republish("raffle.live.1", "2", message(t, 1, 2))
	b.awaitVersion(1, 2)
	b.awaitSnapshot(ShorterStream)
	b.publish(1, 3) // sequence 2 once more
	b.awaitVersion(1, 3)
	b.feed.requestSnapshot(Gap)
	b.nextSnapshot(Gap)
}
