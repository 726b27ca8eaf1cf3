package fanout

import "testing"

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
