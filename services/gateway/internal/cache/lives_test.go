package cache

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rafflecast/rafflecast/services/gateway/internal/odds"
)

// of returns an update of raffle 1 at a position in the first stream.
func of(epoch string, version int64, sequence uint64) *odds.Update {
	return &odds.Update{RaffleID: 1, Epoch: epoch, Version: version, Position: odds.Position{Stream: 1, Sequence: sequence}}
}

func in(stream int64, u *odds.Update) *odds.Update {
	u.Position.Stream = stream
	return u
}

func removal(u *odds.Update) *odds.Update {
	u.Removed, u.Final = true, true
	return u
}

func TestCache_OrdersLivesByPosition(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		next *odds.Update
		want bool
	}{
		"the same life, higher":                      {of("a", 10, 9), true},
		"the same life, lower, later in the stream":  {of("a", 8, 99), false},
		"the same life, higher, earlier":             {of("a", 10, 1), true},
		"another life, later":                        {of("b", 1, 51), true},
		"another life, earlier":                      {of("b", 100, 49), false},
		"another life, at the beginning of a stream": {in(2, of("b", 1, 1)), true},
		"another life, in an older stream":           {in(0, of("b", 1, 99)), false},
		"the same life, lower, in another stream":    {in(2, of("a", 8, 1)), false},
		"the end of this life":                       {removal(of("a", 10, 51)), true},
		"the end of an older life":                   {removal(of("b", 10, 49)), false},
		"the end of a life that was never seen":      {removal(of("b", 1, 51)), true},
	} {
		for _, put := range []bool{true, false} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				c := New()
				first := of("a", 9, 50)
				c.Put(first)
				var isNew bool
				if next := *tt.next; put {
					isNew = c.Put(&next)
				} else {
					isNew = c.Merge(&next, c.Invalidate())
				}
				newest := c.Newest(1)
				switch {
				case isNew != tt.want:
					t.Errorf("is new: %t", isNew)
				case !isNew && newest != first:
					t.Errorf("newest: %+v", newest)
				case isNew && tt.next.Removed && (newest != nil || c.Len() != 0):
					t.Errorf("it is not removed: %+v", newest)
				case isNew && !tt.next.Removed && (newest.Epoch != tt.next.Epoch || !newest.Newer(first.Life, first.Version)):
					t.Errorf("newest: %+v after %+v", newest, first)
				}
			})
		}
	}
}

func TestCache_SinceAnotherLifeIsIncomplete(t *testing.T) {
	t.Parallel()
	c := New()
	c.Put(of("a", 7, 1))
	c.Put(of("a", 8, 2))
	c.Put(of("b", 1, 3))
	c.Put(of("b", 2, 4))
	for seen, want := range map[odds.Seen]struct {
		n        int
		complete bool
	}{
		{Epoch: "a", Version: 7}: {1, false},
		{Epoch: "a", Version: 1}: {1, false},
		{Epoch: "b", Version: 1}: {1, true},
		{Epoch: "b", Version: 2}: {0, true},
		{Epoch: "b", Version: 9}: {0, true},
	} {
		got, complete := c.Since(1, seen)
		if len(got) != want.n || complete != want.complete || want.n > 0 && (got[0].Epoch != "b" || got[0].Version != 2) {
			t.Errorf("since %+v: %d, complete %t", seen, len(got), complete)
		}
	}
	c.Backfill(1, []*odds.Update{of("a", 7, 1), of("a", 8, 2), of("b", 1, 3), of("b", 2, 4), removal(of("b", 3, 5)), of("c", 1, 6)})
	if got, complete := c.Since(1, odds.Seen{Epoch: "a", Version: 7}); len(got) != 1 || complete {
		t.Errorf("after a backfill: %d, complete %t", len(got), complete)
	}
	c.Put(of("c", 1, 6))
	c.Backfill(1, []*odds.Update{of("a", 7, 1), of("b", 1, 3)})
	if c.Backfilled(1) {
		t.Error("backfilled with nothing of this life")
	}
}

func TestCache_RemovedStaysRemoved(t *testing.T) {
	t.Parallel()
	c := New()
	if c.Put(removal(of("a", 3, 10))) || c.Len() != 0 {
		t.Error("the removal of an unknown raffle is news to nobody")
	}
	for _, late := range []*odds.Update{of("a", 2, 9), of("a", 3, 10), of("0", 5, 8)} {
		if c.Merge(late, c.Invalidate()) || c.Newest(1) != nil {
			t.Errorf("%+v has brought it back", late)
		}
	}
	if !c.Put(of("b", 1, 11)) || c.Newest(1).Epoch != "b" || c.Len() != 1 {
		t.Error("another raffle with its id was not taken")
	}
	if !c.Put(removal(of("b", 2, 12))) || !c.Put(of("b", 3, 13)) || c.Newest(1).Version != 3 {
		t.Error("a later version of the same life was not taken")
	}
	if got := c.List(0, 10, func(*odds.Update) bool { return true }); len(got) != 1 {
		t.Errorf("listed: %d", len(got))
	}
}

func TestCache_RemovesWhatSnapshotsLack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := New()
		for id := range int64(4) {
			c.Put(update(id+1, 5))
		}
		snapshot := func(has ...int64) (gone []int64, others int) {
			generation := c.Invalidate()
			for _, id := range has {
				c.Merge(update(id, 4), generation) // from a replica that lags
			}
			updates, others := c.Absent(generation)
			for _, u := range updates {
				gone = append(gone, u.RaffleID)
				if !c.RemoveAbsent(u) {
					t.Errorf("raffle %d was not removed", u.RaffleID)
				}
			}
			slices.Sort(gone)
			return gone, others
		}
		if gone, others := snapshot(1, 2); gone != nil || others != 2 {
			t.Errorf("at first: %v, %d", gone, others)
		}
		time.Sleep(absentTimeout - time.Millisecond)
		if gone, others := snapshot(1, 4); gone != nil || others != 2 {
			t.Errorf("shortly before: %v, %d", gone, others)
		}
		time.Sleep(time.Millisecond)
		if gone, others := snapshot(1); !slices.Equal(gone, []int64{3}) || others != 2 || c.Newest(3) != nil || c.Len() != 3 {
			t.Errorf("then: %v, %d", gone, others)
		}
		absent := c.Newest(2)
		time.Sleep(absentTimeout)
		c.Put(update(2, 6))
		if c.RemoveAbsent(absent) {
			t.Error("removed, though it was received")
		}
		if !c.Put(update(3, 5)) || c.Newest(3).Life <= absent.Life {
			t.Error("the stream has raffle 3 again, but it was not taken as another life")
		}
	})
}
