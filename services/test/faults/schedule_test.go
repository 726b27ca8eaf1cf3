package faults

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// steps returns the beginning of a schedule.
func steps(t *testing.T, seed uint64, only string, n int) (list []step) {
	t.Helper()
	s, err := newSchedule(seed, only)
	if err != nil {
		t.Fatal(err)
	}
	for range n {
		list = append(list, s.next())
	}
	return list
}

// same reports whether two steps do the same.
func same(a, b step) bool {
	return a.kind.name == b.kind.name && a.after == b.after && a.holds == b.holds && a.seed == b.seed
}

func TestSchedule_FollowsFromItsSeed(t *testing.T) {
	t.Parallel()
	const n = 500
	first := steps(t, 1, "", n)
	if !slices.EqualFunc(first, steps(t, 1, "", n), same) {
		t.Error("seed 1 makes two schedules")
	}
	if slices.EqualFunc(first, steps(t, 2, "", n), same) {
		t.Error("seeds 1 and 2 make the same schedule")
	}
	thrown := make(map[string]int)
	for _, st := range first {
		thrown[st.kind.name]++
	}
	for _, k := range kinds() {
		if thrown[k.name] == 0 || k.once && thrown[k.name] != 1 {
			t.Errorf("%q comes %d times in %d", k.name, thrown[k.name], n)
		}
	}
}

func TestSchedule_HasOnlyKindsThatAreAskedFor(t *testing.T) {
	t.Parallel()
	for _, st := range steps(t, 1, "stream ", 50) {
		if st.kind.name != "stream purged" && st.kind.name != "stream deleted" && st.kind.name != "stream truncated at its beginning" {
			t.Errorf("got %q", st.kind.name)
		}
	}
	for _, st := range steps(t, 1, "purged,clock", 50) {
		if st.kind.name != "stream purged" && st.kind.name != "subject purged" && st.kind.name != "PostgreSQL's clock stepped" {
			t.Errorf("got %q", st.kind.name)
		}
	}
	for _, st := range steps(t, 1, "promoted", 3) {
		if st.kind.disturb == nil {
			t.Error("the schedule has run out of kinds")
		}
	}
	if _, err := newSchedule(1, "no such kind"); err == nil {
		t.Error("a kind that does not exist is not refused")
	}
}

// counter counts what is under way.
type counter struct {
	mu            sync.Mutex
	now, most     int
	begun, undone int
}

func (c *counter) add(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now += n
	c.most = max(c.most, c.now)
	if n > 0 {
		c.begun++
	} else {
		c.undone++
	}
}

// counted returns a kind that counts.
func counted(name, group string, counters ...*counter) kind {
	return kind{name: name, group: group, weight: 1, disturb: func(context.Context, *system, *rand.Rand) (func(context.Context) error, error) {
		for _, c := range counters {
			c.add(1)
		}
		return func(context.Context) error {
			for _, c := range counters {
				c.add(-1)
			}
			return nil
		}, nil
	}}
}

func TestThrower_OverlapsFaultsThatDoNotExcludeEachOther(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var all, group counter
		plan := &schedule{chance: rand.New(rand.NewPCG(1, 1)), choices: []kind{
			counted("a", "", &all), counted("b", "", &all), counted("c", "x", &all, &group), counted("d", "x", &all, &group),
		}}
		th := newThrower(nil, plan, io.Discard)
		began := time.Now()
		const n = 200
		if err := th.throw(t.Context(), n, 0); err != nil {
			t.Fatal(err)
		}
		if all.begun != n || all.undone != n {
			t.Errorf("%d begun, %d ended, want %d", all.begun, all.undone, n)
		}
		if all.most != atOnce || group.most != 1 {
			t.Errorf("at most %d at once, and %d of a group", all.most, group.most)
		}
		if each := time.Since(began) / n; each > 1500*time.Millisecond {
			t.Errorf("a fault takes %v", each)
		}
		sum := 0
		for _, times := range th.kinds {
			sum += times
		}
		if sum != n || len(th.kinds) != 4 {
			t.Errorf("noted %v", th.kinds)
		}
	})
}

func TestThrower_MakesFaultsLastLonger(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var all counter
		plan := &schedule{chance: rand.New(rand.NewPCG(1, 1)), choices: []kind{counted("a", "", &all)}}
		began := time.Now()
		if err := newThrower(nil, plan, io.Discard).throw(t.Context(), 1, time.Minute); err != nil || time.Since(began) < time.Minute {
			t.Errorf("%v after %v", err, time.Since(began))
		}
	})
}

func TestThrower_RepeatsWhatWasNotPossible(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var possible counter
		var impossible counter
		plan := &schedule{chance: rand.New(rand.NewPCG(1, 1)), choices: []kind{counted("possible", "", &possible), {
			name: "impossible", disturb: func(context.Context, *system, *rand.Rand) (func(context.Context) error, error) {
				impossible.add(1)
				return func(context.Context) error { impossible.add(-1); return nil }, errors.New("not now")
			},
		}}}
		th := newThrower(nil, plan, io.Discard)
		if err := th.throw(t.Context(), 20, 0); err != nil {
			t.Fatal(err)
		}
		if possible.begun != 20 || th.kinds["possible"] != 20 || th.kinds["impossible"] != 0 {
			t.Errorf("%d thrown, noted %v", possible.begun, th.kinds)
		}
		if impossible.begun == 0 || impossible.undone != impossible.begun {
			t.Errorf("%d were not possible, %d of them were ended", impossible.begun, impossible.undone)
		}
	})
}

func TestThrower_SaysWhatCanNotBeEnded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		plan := &schedule{chance: rand.New(rand.NewPCG(1, 1)), choices: []kind{{
			name: "for ever", disturb: func(context.Context, *system, *rand.Rand) (func(context.Context) error, error) {
				return func(context.Context) error { return errors.New("still there") }, nil
			},
		}}}
		if err := newThrower(nil, plan, io.Discard).throw(t.Context(), 1, 0); err == nil {
			t.Error("a fault that does not end is not reported")
		}
	})
}

func TestLateness_SumsDelays(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := &lateness{}
		began := time.Now()
		at := func(ms int) time.Time { return began.Add(time.Duration(ms) * time.Millisecond) }
		l.note(at(20), 0)
		l.note(at(100), 60*time.Millisecond)
		l.note(at(120), worthANote-1)
		l.note(at(300), 160*time.Millisecond)
		time.Sleep(300 * time.Millisecond)
		if got := l.since(began); got != 220*time.Millisecond {
			t.Errorf("late by %v", got)
		}
		if got := l.since(at(110)); got != 160*time.Millisecond {
			t.Errorf("late by %v", got)
		}
		if got := l.since(at(300)); got != 0 {
			t.Errorf("late by %v", got)
		}
		time.Sleep(time.Second) // without a note
		if got := l.since(at(300)); got != time.Second-latenessTick {
			t.Errorf("a delay that lasts: late by %v", got)
		}
		if l.worst() != 160*time.Millisecond {
			t.Errorf("the worst is %v", l.worst())
		}
	})
}

func TestKept_CanBeParsed(t *testing.T) {
	t.Parallel()
	if _, err := parseKept(keptText); err != nil {
		t.Error(err)
	}
	got, err := parseKept("# nothing\n\n7 12 - gateway to NATS # why\n8 50 restore\n")
	if err != nil || len(got) != 2 || got[0] != (Config{Seed: 7, Faults: 12, Only: "gateway to NATS"}) || got[1] != (Config{Seed: 8, Faults: 50, Restore: true}) {
		t.Errorf("got %+v, %v", got, err)
	}
	for _, bad := range []string{"7 12", "x 12 -", "7 x -", "7 12 sometimes"} {
		if _, err := parseKept(bad); err == nil {
			t.Errorf("%q is not refused", bad)
		}
	}
}
