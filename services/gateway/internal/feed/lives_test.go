package feed

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/protobuf/proto"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
	"github.com/rafflecast/rafflecast/services/internal/oddsstream"
	"github.com/rafflecast/rafflecast/services/test/testenv"
)

// publishOdds stores odds in the stream.
func (b *testBundle) publishOdds(m *rafflev1.Odds) {
	b.t.Helper()
	if m.GetState() == rafflev1.Raffle_STATE_UNSPECIFIED {
		m.State = rafflev1.Raffle_OPEN
	}
	data, err := proto.Marshal(m)
	if err != nil {
		b.t.Fatal(err)
	}
	b.publishRaw(oddsstream.Subject(m.GetId()), data)
}

// mark sets the metadata of the stream, which makes it if there is none.
func (b *testBundle) mark(reconciled string) {
	b.t.Helper()
	b.configure(func(c *jetstream.StreamConfig) {
		c.Metadata = map[string]string{oddsstream.DatabaseKey: "db", oddsstream.ReconciledKey: reconciled}
	})
}

// B2: a raffle with the id of one that a restore has removed.
func TestFeed_AnotherLifeOfRaffle(t *testing.T) {
	t.Parallel()
	b := running(t)
	b.publishOdds(&rafflev1.Odds{Id: 2, Epoch: "old", Version: 13})
	b.awaitVersion(2, 13)
	b.publishOdds(&rafflev1.Odds{Id: 2, Epoch: "old", Version: 14, State: rafflev1.Raffle_CANCELLED, Removed: true})
	b.awaitVersion(2, 14)
	if b.cache.Newest(2) != nil {
		t.Error("the raffle is still known")
	}
	b.feed.requestSnapshot(Gap)
	b.awaitSnapshot(Gap)
	if b.cache.Newest(2) != nil || b.cache.Len() != 0 {
		t.Error("a snapshot has brought it back")
	}
	b.publishOdds(&rafflev1.Odds{Id: 2, Epoch: "new", Version: 4})
	b.awaitVersion(2, 4)
	b.publishOdds(&rafflev1.Odds{Id: 2, Epoch: "new", Version: 5})
	b.awaitVersion(2, 5)
	if u := b.cache.Newest(2); u == nil || u.Epoch != "new" {
		t.Errorf("newest: %+v", u)
	}
}

// A fresh installation under the same address: another stream, with lower sequences.
func TestFeed_AnotherLifeInAnotherStream(t *testing.T) {
	t.Parallel()
	b := running(t)
	for v := range int64(20) {
		b.publishOdds(&rafflev1.Odds{Id: 1, Epoch: "old", Version: v + 1})
	}
	b.awaitVersion(1, 20)
	if err := b.js.DeleteStream(t.Context(), oddsstream.Name); err != nil {
		t.Fatal(err)
	}
	b.mark("true")
	b.publishOdds(&rafflev1.Odds{Id: 1, Epoch: "new", Version: 2})
	b.awaitVersion(1, 2)
	b.publishOdds(&rafflev1.Odds{Id: 1, Epoch: "new", Version: 3})
	b.awaitVersion(1, 3)
}

func TestFeed_StreamThatLostItsTailHasAnotherLife(t *testing.T) {
	t.Parallel()
	b := running(t)
	b.publishOdds(&rafflev1.Odds{Id: 1, Epoch: "old", Version: 1})
	b.awaitVersion(1, 1)
	data, err := proto.Marshal(&rafflev1.Odds{Id: 1, Epoch: "old", Version: 9, State: rafflev1.Raffle_OPEN})
	if err != nil {
		t.Fatal(err)
	}
	b.republish("raffle.live.1", "50", data)
	b.awaitVersion(1, 9)
	b.awaitSnapshot(ShorterStream)
	b.publishOdds(&rafflev1.Odds{Id: 1, Epoch: "new", Version: 2}) // at sequence 2
	b.awaitVersion(1, 2)
}

// F, B4: a gateway that is ready says 404, so it must not be before the stream is filled.
func TestFeed_ReadyWithReconciledStreamOnly(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.mark("")
	b.publish(1, 1)
	b.run(b.config(b.server.URL()))
	b.awaitSnapshot(Connected)
	b.awaitVersion(1, 1)
	if b.feed.Ready() || b.feed.Complete() {
		t.Error("ready before the stream is filled")
	}
	b.mark("true")
	b.awaitSnapshot(Reconciled)
	testenv.Receive(t, "ready", patienceOfTests, b.ready)
	if !b.feed.Complete() {
		t.Error("not complete")
	}
	if err := b.js.DeleteStream(t.Context(), oddsstream.Name); err != nil {
		t.Fatal(err)
	}
	b.mark("")
	b.awaitSnapshot(AnotherStream)
	if b.feed.Complete() || !b.feed.Ready() || b.cache.Len() != 1 {
		t.Errorf("complete %t, ready %t, %d raffles, with a stream that is being filled", b.feed.Complete(), b.feed.Ready(), b.cache.Len())
	}
	b.mark("true")
	b.awaitSnapshot(Reconciled)
}

func TestFeed_RemovesRaffleThatStreamLacks(t *testing.T) {
	t.Parallel()
	b := running(t)
	b.publish(1, 5)
	b.publish(2, 5)
	b.awaitVersion(2, 5)
	stream, err := b.js.Stream(t.Context(), oddsstream.Name)
	if err != nil {
		t.Fatal(err)
	}
	from := time.Now()
	if err := stream.Purge(t.Context(), jetstream.WithPurgeSubject(oddsstream.Subject(1))); err != nil {
		t.Fatal(err)
	}
	b.awaitSnapshot(Absent)
	if b.cache.Newest(1) == nil {
		t.Error("removed at once: a purge is filled again")
	}
	b.awaitVersion(1, 6) // the removal
	if took := time.Since(from); took < 10*time.Second || b.cache.Newest(1) != nil || b.cache.Newest(2) == nil {
		t.Errorf("after %v: %v, %v", took, b.cache.Newest(1), b.cache.Newest(2))
	}
	b.publish(1, 5) // participation has it after all
	b.awaitVersion(1, 5)
}

func TestFeed_PurgeThatIsFilledAgainRemovesNothing(t *testing.T) {
	t.Parallel()
	b := running(t)
	b.publish(1, 5)
	b.publish(2, 5)
	b.awaitVersion(2, 5)
	stream, err := b.js.Stream(t.Context(), oddsstream.Name)
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Purge(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.awaitSnapshot(Absent)
	b.publish(1, 5)
	b.publish(2, 5)
	b.awaitSnapshot(Absent)
	if b.cache.Len() != 2 {
		t.Errorf("%d raffles are left", b.cache.Len())
	}
}

// A2: a server that is cut off from the others answers pings, but not for the stream.
func TestFeed_LeavesServerThatDoesNotAnswerForStream(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.createStream()
	mute, other := newProxy(t, b.server), newProxy(t, b.server)
	other.cut()
	cfg := b.config(mute.url() + "," + other.url())
	var failed atomic.Int32
	cfg.CheckFailed = func() { failed.Add(1) }
	b.run(cfg, func(f *Feed) {
		f.requestTimeout, f.patience, f.checkInterval = 200*time.Millisecond, time.Second, 100*time.Millisecond
	})
	b.awaitSnapshot(Connected)
	if err := b.js.Conn().Flush(); err != nil {
		t.Fatal(err)
	}
	other.heal()
	mute.spoil("STREAM.INFO")
	b.publishUnseen(1, 7)
	b.awaitVersion(1, 7)
	b.awaitSnapshot(Reconnected)
	if failed.Load() == 0 {
		t.Error("no failed check was counted")
	}
}

func TestFeed_SnapshotThatLacksLastMessageIsNotBelieved(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.createStream()
	b.publish(1, 1)
	b.publish(2, 1)
	stream, err := b.js.Stream(t.Context(), oddsstream.Name)
	if err != nil {
		t.Fatal(err)
	}
	// A stream whose last message was deleted looks the same, and is believed at last.
	if err := stream.DeleteMsg(t.Context(), 2); err != nil {
		t.Fatal(err)
	}
	b.run(b.config(b.server.URL()))
	b.awaitVersion(1, 1)
	testenv.Eventually(t, "it is believed at last", patienceOfTests, func() bool { return b.feed.Ready() })
	b.awaitSnapshot(Connected)
}
