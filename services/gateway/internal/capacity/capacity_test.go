package capacity

import (
	"math/rand/v2"
	"testing"
	"time"
)

// instance is a Watch in a test, which moves it by hand.
type instance struct {
	*Watch

	open, ended int
	taking      bool
}

const limit = 1000

// newInstances returns instances of which each hears what the others say.
func newInstances(n int) (all []*instance, now *time.Time) {
	now = new(time.Now())
	for range n {
		i := &instance{taking: true}
		i.Watch = New(Config{
			Limit: limit, FullAt: 90, RoomAt: 75, Window: 100 * time.Second,
			Open: func() int { return i.open }, IsTaking: func() bool { return i.taking },
			End: func(n int) { i.ended += n },
		})
		i.tell = func(room bool) {
			for _, other := range all {
				other.receive(message(i.id, room), *now)
			}
		}
		all = append(all, i)
	}
	return all, now
}

func TestWatch_IsNotReadyOnlyWhileFullAndAnotherHasRoom(t *testing.T) {
	t.Parallel()
	all, now := newInstances(2)
	a, b := all[0], all[1]
	for i, step := range []struct {
		open, other int
		taking      bool // the other one
		ready       bool
	}{
		{100, 100, true, true},
		{899, 100, true, true},
		{900, 100, true, false}, // from the mark on
		{800, 100, true, false}, // until there is room
		{750, 100, true, false},
		{749, 100, true, true},
		{899, 100, true, true}, // and then not before the mark
		{950, 750, true, true}, // the other one has none
		{950, 749, true, false},
		{950, 749, false, true}, // it stops, or has no odds
	} {
		a.open, b.open, b.taking = step.open, step.other, step.taking
		*now = now.Add(interval)
		b.step(*now)
		a.step(*now)
		if a.Ready() != step.ready {
			t.Errorf("step %d: ready is %v", i, a.Ready())
		}
	}
}

func TestWatch_BelievesNobodyForLong(t *testing.T) {
	t.Parallel()
	all, now := newInstances(2)
	a, b := all[0], all[1]
	a.open = limit
	b.step(*now)
	a.step(*now)
	if a.Ready() {
		t.Fatal("it is ready although the other one has room")
	}
	*now = now.Add(validity + interval) // the other one is gone
	a.step(*now)
	if !a.Ready() {
		t.Error("it is not ready although nobody else is there")
	}
}

func TestWatch_OwnWordsDoNotCount(t *testing.T) {
	t.Parallel()
	all, now := newInstances(1)
	a := all[0]
	a.step(*now) // says that it has room
	a.open = limit
	if a.step(*now); !a.Ready() {
		t.Error("it waits for itself")
	}
}

func TestWatch_EndsConnectionsGentlyAndUntilThereIsRoom(t *testing.T) {
	t.Parallel()
	all, now := newInstances(2)
	a, b := all[0], all[1]
	a.open = limit
	steps := 0
	for ; steps < 1000 && (steps == 0 || !a.Ready()); steps++ {
		*now = now.Add(interval)
		b.step(*now)
		a.step(*now)
		if a.ended > limit/100 {
			t.Fatalf("it ends %d connections in a second", a.ended)
		}
		a.open -= a.ended
		a.ended = 0
	}
	if a.open != 749 || steps < 25 {
		t.Errorf("after %d s it has %d connections", steps, a.open)
	}
	a.open, b.open = limit, limit
	*now = now.Add(validity + interval)
	if a.step(*now); a.ended != 0 {
		t.Error("it ends connections although nobody has room for them")
	}
}

// However clients come and go, some instance is ready.
func TestWatch_NeverAreAllNotReady(t *testing.T) {
	t.Parallel()
	for seed := range uint64(200) {
		random := rand.New(rand.NewPCG(seed, 0))
		all, now := newInstances(2 + random.IntN(4))
		for range 100 {
			*now = now.Add(interval)
			ready := 0
			for _, i := range all {
				i.open = min(max(0, i.open+random.IntN(400)-170), limit)
				i.step(*now)
				if i.Ready() {
					ready++
				}
			}
			if ready == 0 {
				t.Fatalf("seed %d: none of %d instances is ready", seed, len(all))
			}
		}
	}
}
