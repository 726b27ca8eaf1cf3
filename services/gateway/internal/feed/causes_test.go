package feed

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/rafflecast/rafflecast/services/internal/oddsstream"
)

func TestItMayStartBeforeTheStream(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.run()
	w.makeStream()
	w.publish(1, 1)
	w.waitCause(Connected)
	w.waitFor(1, 1)
}

func TestItMayStartBeforeNATS(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.makeStream()
	w.publish(1, 1)
	w.server.Stop()
	w.run()
	w.server.Start()
	w.waitFor(1, 1)
}

func TestAReconnectFetchesWhatWasMissed(t *testing.T) {
	t.Parallel()
	w := started(t)
	w.publish(1, 1)
	w.waitFor(1, 1)
	for v := int64(2); v < 4; v++ {
		w.server.Stop()
		if !w.feed.Ready() || w.feed.Newest(1).Version != v-1 {
			t.Error("what was known is forgotten with NATS away")
		}
		w.server.Start()
		w.waitCause(Reconnected)
		w.publish(1, v)
		w.waitFor(1, v)
	}
}

func TestAPartitionHeals(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.makeStream()
	line := newLine(t, w.server)
	w.feed = w.newFeed(line.url())
	w.run()
	w.waitCause(Connected)
	w.publish(1, 1)
	w.waitFor(1, 1)
	line.cut()
	w.publish(1, 2)
	line.heal()
	w.waitFor(1, 2)
	w.waitCause(Reconnected)
}

func TestAShortSilenceLosesNothing(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.makeStream()
	line := newLine(t, w.server)
	w.feed = w.newFeed(line.url())
	w.run()
	w.waitCause(Connected)
	line.silence()
	w.publish(1, 1, 2)
	line.heal()
	w.waitFor(1, 2)
	if n := len(line.accepted); n != 1 {
		t.Errorf("%d connections", n)
	}
}

func TestASilentPartitionThatHeals(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.makeStream()
	line := newLine(t, w.server)
	w.feed = w.newFeed(line.url())
	// When it falls silent an answer will be awaited, for longer than the test.
	w.feed.checkInterval, w.feed.requestTimeout = 10*time.Millisecond, time.Hour
	w.run()
	w.waitCause(Connected)
	w.publish(1, 1)
	w.waitFor(1, 1)
	wait(t, line.accepted, "no connection")
	line.silence()
	w.publish(1, 2)
	wait(t, line.accepted, "it keeps its connection") // which nothing has closed
	w.publish(1, 3)
	if newest := w.feed.Newest(1).Version; newest != 1 || !w.feed.Ready() {
		t.Errorf("in the silence: version %d, ready %t", newest, w.feed.Ready())
	}
	line.heal()
	w.waitFor(1, 3)
	w.nextCause(Reconnected)
}

func TestASilentPartitionIsLeftByAnotherWay(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.makeStream()
	silent, other := newLine(t, w.server), newLine(t, w.server)
	other.cut()
	w.feed = w.newFeed(silent.url() + "," + other.url())
	w.run()
	w.waitCause(Connected)
	w.publish(1, 1)
	w.waitFor(1, 1)
	silent.silence()
	w.publish(1, 2)
	other.heal()
	w.waitFor(1, 2)
	w.nextCause(Reconnected)
	w.publish(1, 3)
	w.waitFor(1, 3)
}

func TestAGapLeadsToASnapshot(t *testing.T) {
	t.Parallel()
	w := started(t)
	w.publish(1, 1)
	w.publish(2, 1)
	w.waitFor(2, 1)
	w.configure(mute)
	w.publish(1, 2) // the feed does not hear of it
	w.configure(func(*jetstream.StreamConfig) {})
	w.publish(2, 2) // the next sequence but one
	w.waitCause(Gap)
	w.waitFor(1, 2)
}

func TestAnUnheardTailIsFetched(t *testing.T) {
	t.Parallel()
	w := started(t)
	w.configure(mute)
	w.publish(1, 1, 2)
	w.waitFor(1, 2)
	w.waitCause(UnheardTail)
}

func TestAStreamMadeAgain(t *testing.T) {
	t.Parallel()
	w := started(t)
	w.publish(1, 1, 2, 3)
	w.waitFor(1, 3)
	if err := w.js.DeleteStream(t.Context(), oddsstream.Name); err != nil {
		t.Fatal(err)
	}
	w.makeStream()
	w.publish(1, 4) // sequence 1 again: no gap shows it
	w.waitFor(1, 4)
	w.configure(mute)
	w.publish(1, 5)
	w.waitFor(1, 5)
	w.waitCause(AnotherStream)
}

func TestAStreamThatHasLostItsTail(t *testing.T) {
	t.Parallel()
	w := started(t)
	w.publish(1, 1)
	w.waitFor(1, 1)
	// Heard, but no longer in the stream: as after a power cut.
	w.repeat("raffle.live.1", "2", message(t, 1, 2))
	w.waitFor(1, 2)
	w.waitCause(ShorterStream)
	w.publish(1, 3) // sequence 2 once more
	w.waitFor(1, 3)
}
