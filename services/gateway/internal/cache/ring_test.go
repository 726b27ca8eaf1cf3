package cache

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rafflecast/rafflecast/services/gateway/internal/odds"
)

func TestCache_ShallowUnlessResumed(t *testing.T) {
	t.Parallel()
	c := New()
	fill(c, 1, 1000, 1)
	if got, complete := c.Since(1, at(1000-shallowDepth)); len(got) != shallowDepth || !complete {
		t.Errorf("%d updates, complete %t", len(got), complete)
	}
	expectSince(t, c, 1000-shallowDepth-2, false, 1000)
}

// What readers hold must not change, since they share it.
func TestCache_SinceReturnsWhatNeverChanges(t *testing.T) {
	t.Parallel()
	c := New()
	type held struct {
		updates []*odds.Update
		want    []int64
	}
	var all []held
	for v := range int64(1000) {
		c.Put(update(1, v+1))
		if v == 300 {
			c.Backfill(1, stored(200, 301))
		}
		got, _ := c.Since(1, at(v-9))
		all = append(all, held{got, versions(got)})
		got = append(got, update(1, -1)) // a reader's own copy
		all = append(all, held{got, versions(got)})
	}
	for _, h := range all {
		if !slices.Equal(versions(h.updates), h.want) {
			t.Fatalf("%v became %v", h.want, versions(h.updates))
		}
	}
	if got, complete := c.Since(1, at(900)); len(got) != 100 || !complete || slices.Contains(versions(got), -1) {
		t.Errorf("%v, complete %t", versions(got), complete)
	}
}

func TestCache_MissedMessagesStartTheRingAnew(t *testing.T) {
	t.Parallel()
	c := New()
	fill(c, 1, 3, 1)
	c.Invalidate()
	c.Put(update(1, 5)) // 4 was missed
	expectSince(t, c, 3, false, 5)
	expectSince(t, c, 4, true, 5)

	c.Invalidate()
	c.Put(update(1, 7)) // 6 may have been missed
	expectSince(t, c, 5, false, 7)

	generation := c.Invalidate()
	c.Merge(update(1, 7), generation) // nothing was missed
	c.Put(update(1, 9))
	expectSince(t, c, 7, true, 9)

	generation = c.Invalidate()
	c.Merge(update(1, 12), generation)
	c.Put(update(1, 13))
	expectSince(t, c, 12, true, 13)
	expectSince(t, c, 9, false, 13)
}

// A snapshot proves nothing about what was missed after it began.
func TestCache_MergeOfOlderGenerationProvesNothing(t *testing.T) {
	t.Parallel()
	for first, newest := range map[int64]int64{6: 7, 7: 8, 100: 8} { // the last is a raffle that was not known
		c := New()
		fill(c, first, 7, 1)
		older := c.Invalidate()
		c.Invalidate()
		c.Merge(update(1, newest), older)
		c.Put(update(1, 20))
		expectSince(t, c, newest, false, 20)
	}
}

func TestCache_BackfillIsKept(t *testing.T) {
	t.Parallel()
	c := New()
	c.Merge(update(1, 300), c.Invalidate()) // an instance that has just started
	expectSince(t, c, 150, false, 300)
	c.Backfill(1, stored(300-int64(deepDepth)+1, 300))
	fill(c, 301, 350, 1)
	// The stream has dropped as many from its beginning, and so has the cache: it
	// holds what the stream holds, whoever asks.
	first := 350 - int64(deepDepth) + 1
	for _, version := range []int64{349, 320, 300, first, first - 1} {
		if got, complete := c.Since(1, at(version)); int64(len(got)) != 350-version || !complete {
			t.Errorf("since %d: %d updates, complete %t", version, len(got), complete)
		}
	}
	expectSince(t, c, first-2, false, 350)
	if !c.Backfilled(1) {
		t.Error("it would be backfilled again")
	}
}

func TestCache_BackfillMustMeetTheRing(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		stored     []*odds.Update
		since      int64
		complete   bool
		backfilled bool
	}{
		"it meets":             {stored(5, 10), 6, true, true},
		"with newer ones":      {stored(5, 12), 6, true, true},
		"nothing is older":     {stored(10, 12), 8, false, true},
		"all is newer":         {stored(11, 12), 8, false, true},
		"the stream is empty":  {nil, 8, false, true},
		"it is too old":        {stored(5, 9), 6, false, false},
		"the stream is anew":   {[]*odds.Update{update(1, 7), update(1, 9), update(1, 12)}, 7, false, false},
		"it has a gap between": {append(stored(5, 7), stored(12, 13)...), 6, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := New()
			fill(c, 10, 11, 1)
			c.Backfill(1, tt.stored)
			got, complete := c.Since(1, at(tt.since))
			if complete != tt.complete || c.Backfilled(1) != tt.backfilled || got[len(got)-1].Version != 11 {
				t.Errorf("%v, complete %t, backfilled %t", versions(got), complete, c.Backfilled(1))
			}
			if complete && int64(len(got)) != 11-tt.since {
				t.Errorf("%v", versions(got))
			}
		})
	}
}

func TestCache_ShrinksWhatNobodyResumes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := New()
		fill(c, 100, 110, 1)
		c.Put(update(2, 1))
		c.Backfill(1, stored(1, 110))
		for range 5 {
			time.Sleep(resumeTimeout - 1)
			c.Put(update(2, c.Newest(2).Version+1))
			if got, complete := c.Since(1, at(50)); len(got) != 60 || !complete {
				t.Errorf("while clients resume: %d updates, complete %t", len(got), complete)
			}
		}
		time.Sleep(resumeTimeout)
		c.Since(1, at(110)) // a client that has missed nothing
		c.Put(update(2, c.Newest(2).Version+1))
		if got, complete := c.Since(1, at(110-shallowDepth)); len(got) != shallowDepth || !complete {
			t.Errorf("afterwards: %d updates, complete %t", len(got), complete)
		}
		expectSince(t, c, 50, false, 110)
		if c.Backfilled(1) || len(c.deep) != 0 {
			t.Error("it would not be backfilled again")
		}
	})
}

func TestCache_BoundsDeepRings(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := New()
		c.maxDeepUpdates = 250
		backfill := func(raffleID int64) {
			var stored []*odds.Update
			for v := range int64(100) {
				stored = append(stored, update(raffleID, v+1))
			}
			c.Put(stored[99])
			c.Backfill(raffleID, stored)
			time.Sleep(time.Second)
		}
		backfill(1)
		backfill(2)
		c.Since(1, at(50)) // 2 is now the one that was not resumed for the longest time
		time.Sleep(time.Second)
		backfill(3)
		for id, want := range map[int64]bool{1: true, 2: false, 3: true} {
			if _, complete := c.Since(id, at(50)); complete != want || c.Backfilled(id) != want {
				t.Errorf("raffle %d: complete %t", id, complete)
			}
		}
		// They grow beyond the bound by themselves, too.
		time.Sleep(time.Second)
		c.Since(3, at(50))
		for v := int64(101); v <= 160; v++ {
			c.Put(update(3, v))
		}
		time.Sleep(shrinkInterval)
		c.Put(update(3, 161))
		if _, complete := c.Since(3, at(50)); !complete || c.Backfilled(1) {
			t.Errorf("complete %t, raffle 1 is deep: %t", complete, c.Backfilled(1))
		}
	})
}
