package faults

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"
)

// step is one fault of a schedule.
type step struct {
	kind  kind
	after time.Duration // since the beginning of the step before
	holds time.Duration // from its own beginning to its end
	seed  uint64        // of what chance decides in it, as the process that it kills
}

// schedule is an endless sequence of faults, which follows from its seed.
type schedule struct {
	chance  *rand.Rand
	choices []kind // each as often as it weighs
}

// newSchedule returns the schedule of a seed, of the kinds whose name contains one of the parts
// of only, which commas separate.
func newSchedule(seed uint64, only string) (*schedule, error) {
	s := &schedule{chance: rand.New(rand.NewPCG(seed, 1))}
	for _, k := range kinds() {
		if slices.ContainsFunc(strings.Split(only, ","), func(part string) bool { return strings.Contains(k.name, part) }) {
			s.choices = append(s.choices, slices.Repeat([]kind{k}, k.weight)...)
		}
	}
	if len(s.choices) == 0 {
		return nil, fmt.Errorf("there is no kind of fault like %q", only)
	}
	return s, nil
}

// next returns the step that follows.
func (s *schedule) next() step {
	k := s.choices[s.chance.IntN(len(s.choices))]
	if k.once && slices.ContainsFunc(s.choices, func(other kind) bool { return other.name != k.name }) {
		s.choices = slices.DeleteFunc(s.choices, func(other kind) bool { return other.name == k.name })
	}
	holds := 200*time.Millisecond + time.Duration(s.chance.Int64N(int64(2*time.Second)))
	if s.chance.IntN(12) == 0 { // longer than pings and timeouts are patient
		holds += 5 * time.Second
	}
	return step{
		kind:  k,
		holds: holds,
		after: 200*time.Millisecond + time.Duration(s.chance.Int64N(int64(1200*time.Millisecond))),
		seed:  s.chance.Uint64(),
	}
}

// atOnce is how many faults overlap at most.
const atOnce = 3

// thrower throws the faults of a schedule, several at once.
type thrower struct {
	system   *system
	schedule *schedule
	out      io.Writer

	// Faults of one group exclude each other: what one does to a thing, the other
	// would undo.
	groups map[string]chan struct{} // of capacity 1: the fault under way

	mu     sync.Mutex
	kinds  map[string]int // thrown, by name
	failed error          // of the first fault that could not be ended
}

func newThrower(s *system, plan *schedule, out io.Writer) *thrower {
	t := &thrower{system: s, schedule: plan, out: out, groups: make(map[string]chan struct{}), kinds: make(map[string]int)}
	for _, k := range plan.choices {
		t.groups[k.group] = make(chan struct{}, 1)
	}
	return t
}

// throw throws n faults, each of which lasts longer than its schedule says by a time,
// and returns when all of them have ended.
func (t *thrower) throw(ctx context.Context, n int, longer time.Duration) error {
	for thrown := 0; thrown < n && ctx.Err() == nil; {
		begun := make(chan bool, n) // one value per step: whether it was possible
		slots := make(chan struct{}, atOnce)
		var running sync.WaitGroup
		for range n - thrown {
			st := t.schedule.next()
			st.holds += longer
			pause(ctx, st.after)
			slots <- struct{}{}
			running.Go(func() {
				defer func() { <-slots }()
				begun <- t.run(ctx, st)
			})
		}
		running.Wait()
		close(begun)
		for possible := range begun {
			if possible {
				thrown++
			}
		}
		t.mu.Lock()
		err := t.failed
		t.mu.Unlock()
		if err != nil {
			return err
		}
	}
	return ctx.Err()
}

// run throws one fault from its beginning to its end. It reports whether that was
// possible: another fault may stand in its way.
func (t *thrower) run(ctx context.Context, st step) bool {
	k := st.kind
	if k.group != "" {
		t.groups[k.group] <- struct{}{}
		defer func() { <-t.groups[k.group] }()
	}
	begin, cancel := context.WithTimeout(ctx, 10*time.Second)
	end, err := k.disturb(begin, t.system, rand.New(rand.NewPCG(st.seed, 2)))
	cancel()
	t.note(k.name, err)
	if err == nil {
		pause(ctx, st.holds)
	}
	if end != nil {
		// What stands in its way may be over in a moment.
		if failed := eventually(ctx, 40*time.Second, "the end of: "+k.name, end); failed != nil {
			t.mu.Lock()
			defer t.mu.Unlock()
			if t.failed == nil {
				t.failed = failed
			}
		}
	}
	return err == nil
}

// note records that a fault has begun, or why it could not.
func (t *thrower) note(name string, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now().Format("15:04:05.000")
	if err != nil {
		fmt.Fprintf(t.out, "%s  (not possible now: %s: %v)\n", now, name, err)
		return
	}
	t.kinds[name]++
	fmt.Fprintf(t.out, "%s  %s\n", now, name)
}
