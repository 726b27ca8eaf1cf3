package feed

import (
	"fmt"
	"slices"
	"strconv"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/rafflecast/rafflecast/services/gateway/internal/odds"
	"github.com/rafflecast/rafflecast/services/internal/oddsstream"
)

func TestTheFirstSnapshotKnowsWhatWasThereBefore(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.makeStream()
	for id := range int64(2500) { // more than a batch
		w.publish(id+1, 1)
	}
	w.publish(7, 2, 3)
	if w.feed.Ready() {
		t.Error("ready before it runs")
	}
	w.run()
	w.waitCause(Connected)
	if !w.feed.Ready() || w.feed.Size() != 2500 {
		t.Errorf("ready %t, %d raffles", w.feed.Ready(), w.feed.Size())
	}
	if got := w.feed.Newest(7); got == nil || got.Version != 3 {
		t.Errorf("raffle 7: %+v", got)
	}
	if got := w.feed.Newest(2501); got != nil {
		t.Errorf("raffle 2501: %+v", got)
	}
}

func TestWhatIsPublishedGoesOutInOrder(t *testing.T) {
	t.Parallel()
	w := started(t)
	w.publish(1, 1, 2, 5)
	w.publish(2, 1)
	w.waitFor(2, 1)
	w.mu.Lock()
	defer w.mu.Unlock()
	if got := w.out[1]; !slices.Equal(got, []int64{1, 2, 5}) {
		t.Errorf("raffle 1: %v", got)
	}
}

func TestVersionsNeverFall(t *testing.T) {
	t.Parallel()
	w := started(t)
	w.publish(1, 5, 3, 5, 4, 6) // take fails the test on a fall
	w.waitFor(1, 6)
	if got := w.recent(1); !slices.Equal(got, []int64{5, 6}) {
		t.Errorf("at hand: %v", got)
	}
}

func TestMalformedMessagesStopNothing(t *testing.T) {
	t.Parallel()
	w := started(t)
	w.publishRaw(oddsstream.Subject(1), []byte("not protobuf"))
	w.publishRaw(oddsstream.Subject(1), nil)
	w.publishRaw("raffle.odds.x", message(t, 1, 3))
	w.publishRaw(oddsstream.Subject(2), message(t, 1, 4)) // another raffle's
	w.repeat("raffle.live.1", "", message(t, 1, 5))       // not from the stream
	w.repeat("raffle.live.1", "-1", message(t, 1, 6))
	w.publish(1, 7)
	w.waitFor(1, 7)
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.out) != 1 || !slices.Equal(w.out[1], []int64{7}) {
		t.Errorf("went out: %v", w.out)
	}
}

func TestSince(t *testing.T) {
	t.Parallel()
	f := New(Config{})
	put := func(v int64) { f.board.put(&odds.Update{RaffleID: 1, Version: v}, true) }
	for v := range int64(recent) {
		put(10 + 2*v) // 10 to 40: a version that nobody needed is never published
	}
	for _, c := range []struct {
		version  int64
		first, n int64
		complete bool
	}{
		{40, 0, 0, true},
		{41, 0, 0, true}, // another instance was ahead
		{38, 40, 1, true},
		{37, 38, 2, true}, // published, then superseded elsewhere
		{10, 12, recent - 1, true},
		{9, 10, recent, true},
		{8, 40, 1, false},
		{0, 40, 1, false},
	} {
		t.Run(strconv.FormatInt(c.version, 10), func(t *testing.T) {
			t.Parallel()
			got, complete := f.Since(1, c.version)
			if complete != c.complete || int64(len(got)) != c.n || (c.n > 0 && got[0].Version != c.first) {
				t.Errorf("%d updates, complete %t", len(got), complete)
			}
		})
	}
}

func TestListPages(t *testing.T) {
	t.Parallel()
	f := New(Config{})
	for _, id := range []int64{5, 1, 9, 3, 7} {
		f.board.put(&odds.Update{RaffleID: id, Version: 1, State: fmt.Sprint(id%4 == 1)}, true)
	}
	ids := func(found []*odds.Update) (ids []int64) {
		for _, u := range found {
			ids = append(ids, u.RaffleID)
		}
		return ids
	}
	all := func(*odds.Update) bool { return true }
	if got := ids(f.List(0, 3, all)); !slices.Equal(got, []int64{1, 3, 5}) {
		t.Errorf("first page: %v", got)
	}
	if got := ids(f.List(5, 3, all)); !slices.Equal(got, []int64{7, 9}) {
		t.Errorf("second page: %v", got)
	}
	if got := ids(f.List(1, 1, func(u *odds.Update) bool { return u.State == "true" })); !slices.Equal(got, []int64{5}) {
		t.Errorf("kept: %v", got)
	}
}

// What was missed must never look as if it had been nothing.
func TestRecentUpdatesHaveNoHoles(t *testing.T) {
	t.Parallel()
	w := started(t)
	w.publish(1, 1, 2)
	w.waitFor(1, 2)
	w.configure(mute)
	w.publish(1, 3)
	w.configure(func(*jetstream.StreamConfig) {})
	w.publish(1, 4)
	w.waitFor(1, 4)
	if got := w.recent(1); !slices.Equal(got, []int64{4}) {
		t.Errorf("at hand after a miss: %v", got)
	}
	w.waitCause(Gap)
	w.publish(1, 5)
	w.waitFor(1, 5)
	if got := w.recent(1); !slices.Equal(got, []int64{4, 5}) {
		t.Errorf("at hand after the snapshot: %v", got)
	}
}

func TestAnInstanceThatHasJustStartedRecallsTheHistory(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.makeStream()
	for v := range int64(100) {
		w.publish(1, v+1)
	}
	w.publish(2, 1)
	w.feed.Recall(t.Context(), 1) // not running: nothing happens
	w.run()
	w.waitCause(Connected)
	if _, complete := w.feed.Since(1, 90); complete {
		t.Error("complete before the recall")
	}
	w.feed.Recall(t.Context(), 1)
	if got, complete := w.feed.Since(1, 90); !complete || len(got) != 10 || got[0].Version != 91 {
		t.Errorf("after 90: %d updates, complete %t", len(got), complete)
	}
	if _, complete := w.feed.Since(1, 60); complete {
		t.Error("the stream has forgotten version 61")
	}
	w.publish(1, 101)
	w.waitFor(1, 101)
	if got, complete := w.feed.Since(1, 99); !complete || len(got) != 2 {
		t.Errorf("after 99: %d updates, complete %t", len(got), complete)
	}
	w.feed.Recall(t.Context(), 3) // not known
	w.server.Stop()
	w.feed.Recall(t.Context(), 2) // NATS is away
	if got := w.recent(2); !slices.Equal(got, []int64{1}) {
		t.Errorf("raffle 2: %v", got)
	}
}
