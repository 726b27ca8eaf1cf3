package fanout

import (
	"testing"
	"time"
)

func TestConflation_ReleasesFirstAtOnceAndNewestAfterInterval(t *testing.T) {
	t.Parallel()
	var c conflation
	for _, step := range []struct {
		offer    int64 // 0: the interval ends
		released bool
		current  int64
	}{
		{1, true, 1},
		{1, false, 1}, // the same once more
		{2, false, 1},
		{4, false, 1},
		{3, false, 1}, // older than what is pending
		{0, true, 4},
		{4, false, 4},
		{3, false, 4},
		{0, false, 4}, // nothing is pending
		{6, true, 6},
		{7, false, 6},
		{0, true, 7},
		{0, false, 7},
		{5, false, 7},
		{8, true, 8},
	} {
		var released bool
		if step.offer == 0 {
			released = c.endInterval()
		} else {
			released = c.offer(update(1, step.offer))
		}
		if released {
			c.throttled = true
		}
		if released != step.released || c.current.Version != step.current {
			t.Errorf("%+v: released %t, current %d", step, released, c.current.Version)
		}
	}
}

func TestConflation_WithoutIntervalReleasesAll(t *testing.T) {
	t.Parallel()
	var c conflation
	for v := range int64(5) {
		if !c.offer(update(1, v+1)) {
			t.Errorf("version %d is not released", v+1)
		}
	}
}

func TestShard_SendsFirstAtOnceAndLastAlways(t *testing.T) {
	t.Parallel()
	s := newTestShard(t)
	c := s.connect(unlimited, to(1))
	for v := range int64(5) {
		s.publish(update(1, v+1))
		s.settle()
	}
	expectVersions(t, s.versions(c), 1)
	s.pass(interval - 1)
	expectVersions(t, s.versions(c), 1)
	s.pass(1)
	expectVersions(t, s.versions(c), 1, 5)
	s.publish(update(1, 6)) // within the next interval
	s.settle()
	expectVersions(t, s.versions(c), 1, 5)
	s.pass(interval)
	expectVersions(t, s.versions(c), 1, 5, 6)
	s.pass(interval)
	s.publish(update(1, 7))
	s.settle()
	expectVersions(t, s.versions(c), 1, 5, 6, 7)
	if got := s.hub.Stats().Delivered; got != 4 {
		t.Errorf("%d are counted as delivered", got)
	}
}

func TestShard_ConflatesEachRaffleByItself(t *testing.T) {
	t.Parallel()
	s := newTestShard(t)
	c := s.connect(unlimited, to(1), to(2))
	s.publish(update(1, 1))
	s.settle()
	s.pass(interval / 2)
	s.publish(update(2, 1))
	s.settle()
	s.publish(update(1, 2))
	s.publish(update(2, 2))
	s.pass(interval / 2)
	if got := s.sent(c); len(got) != 3 || got[2] != [2]int64{1, 2} {
		t.Errorf("after an interval: %v", got)
	}
	s.pass(interval / 2)
	if got := s.sent(c); len(got) != 4 || got[3] != [2]int64{2, 2} {
		t.Errorf("after both: %v", got)
	}
}

// Odds that come during a pass go to all whom it has yet to visit, and to the others when
// the interval is over.
func TestShard_GoesOnWithNewerOdds(t *testing.T) {
	t.Parallel()
	s := newTestShard(t)
	for range 3 * chunk {
		s.connect(unlimited, to(1))
	}
	first, last := s.conns[0], s.conns[3*chunk-1]
	s.publish(update(1, 1))
	s.shard.work()
	s.publish(update(1, 2))
	s.settle()
	expectVersions(t, s.versions(first), 1)
	expectVersions(t, s.versions(last), 2)
	s.publish(update(1, 3)) // after the pass, within the interval
	s.pass(interval - 1)
	expectVersions(t, s.versions(last), 2)
	s.pass(1)
	expectVersions(t, s.versions(first), 1, 3)
	expectVersions(t, s.versions(last), 2, 3)
	if got := s.hub.Stats().Delivered; got != 6*chunk {
		t.Errorf("%d are counted as delivered", got)
	}
}

// If nothing newer comes, nobody is left with what the pass began with.
func TestShard_SendsTheLastToThoseWhoWereVisitedFirst(t *testing.T) {
	t.Parallel()
	s := newTestShard(t)
	for range 3 * chunk {
		s.connect(unlimited, to(1))
	}
	s.publish(update(1, 1))
	s.shard.work()
	u := update(1, 2)
	s.publish(u)
	s.settle()
	s.pass(interval)
	for i, c := range s.conns {
		if got := s.versions(c); got[len(got)-1] != 2 {
			t.Fatalf("connection %d has %v", i, got)
		}
	}
	if n := u.Delivery.Connections(); s.delivered[u] != 1 || n != 3*chunk {
		t.Errorf("reported %d times, with %d connections", s.delivered[u], n)
	}
}

// keep has the shard kept from its core for a time in each chunk that is measured. What it
// works itself, an hour, does not count.
func (s *testShard) keep(kept time.Duration) {
	var wall, cpu time.Duration
	s.shard.clock = func() (time.Duration, time.Duration) {
		wall, cpu = wall+time.Hour+kept, cpu+time.Hour
		return wall, cpu
	}
}

// restingShard returns a shard with connections of which each chunk is kept from its core
// for a time.
func restingShard(t *testing.T, kept time.Duration) *testShard {
	t.Helper()
	s := newTestShard(t)
	s.keep(kept)
	for range 2 * chunk { // whose second half is not measured
		s.connect(unlimited, to(1))
	}
	return s
}

func TestShard_RestsIfItIsKeptFromItsCore(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ took, kept, next time.Duration }{
		"a core of its own":              {2 * interval, 0, 2 * interval},
		"a core that is shared":          {2 * interval, interval, 3 * interval},
		"a core that is shared, shortly": {interval / 2, interval / 4, interval},
		"a frozen process":               {2 * interval, time.Minute, 2*interval + longestRest},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := restingShard(t, tt.kept)
			c := s.conns[0]
			s.publish(update(1, 1))
			s.shard.work()
			s.publish(update(1, 2))
			s.shard.now += tt.took
			if s.settle(); tt.next > tt.took {
				s.pass(tt.next - tt.took - 1)
				expectVersions(t, s.versions(c), 1)
				s.shard.now++
			}
			s.settle()
			expectVersions(t, s.versions(c), 1, 2)
		})
	}
}

func TestShard_RestOfOneRaffleDelaysNoOther(t *testing.T) {
	t.Parallel()
	s := restingShard(t, time.Minute)
	resting, other := s.conns[0], s.connect(unlimited, to(2))
	s.publish(update(1, 1))
	s.settle() // the rest begins
	s.publish(update(1, 2))
	s.publish(update(2, 1))
	s.settle()
	s.publish(update(2, 2))
	s.pass(interval)
	expectVersions(t, s.versions(other), 1, 2)
	expectVersions(t, s.versions(resting), 1)
	s.keep(0)
	s.pass(longestRest - interval)
	expectVersions(t, s.versions(resting), 1, 2)
	s.publish(update(1, 3))
	s.pass(interval) // the rest was for the pass before
	expectVersions(t, s.versions(resting), 1, 2, 3)
}
