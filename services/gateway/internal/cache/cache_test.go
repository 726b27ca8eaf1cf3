package cache

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rafflecast/rafflecast/services/gateway/internal/odds"
	"github.com/rafflecast/rafflecast/services/internal/oddsstream"
)

func update(raffleID, version int64) *odds.Update {
	return &odds.Update{RaffleID: raffleID, Epoch: "e", Version: version}
}

// at is what a client has that has seen a version.
func at(version int64) odds.Seen { return odds.Seen{Epoch: "e", Version: version} }

// fill puts versions from..to of raffle 1, step apart.
func fill(c *Cache, from, to, step int64) {
	for v := from; v <= to; v += step {
		c.Put(update(1, v))
	}
}

// stored returns versions from..to of raffle 1 as the stream would.
func stored(from, to int64) (updates []*odds.Update) {
	for v := from; v <= to; v++ {
		updates = append(updates, update(1, v))
	}
	return updates
}

func versions(updates []*odds.Update) (versions []int64) {
	for _, u := range updates {
		versions = append(versions, u.Version)
	}
	return versions
}

// expectSince fails unless these versions of raffle 1 come after version.
func expectSince(t *testing.T, c *Cache, version int64, complete bool, want ...int64) {
	t.Helper()
	got, ok := c.Since(1, at(version))
	if !slices.Equal(versions(got), want) || ok != complete {
		t.Errorf("since %d: %v, complete %t; want %v, %t", version, versions(got), ok, want, complete)
	}
}

func TestCache_UnknownRaffle(t *testing.T) {
	t.Parallel()
	c := New()
	c.Put(update(2, 5))
	if c.Newest(1) != nil || c.Len() != 1 || !c.Backfilled(1) {
		t.Errorf("newest %v of %d, backfilled %t", c.Newest(1), c.Len(), c.Backfilled(1))
	}
	c.Backfill(1, stored(1, 5))
	expectSince(t, c, 3, true)
}

func TestCache_VersionsNeverFall(t *testing.T) {
	t.Parallel()
	c := New()
	for _, step := range []struct {
		version  int64
		put, new bool
	}{
		{5, true, true},
		{3, true, false},
		{5, true, false},
		{4, false, false},
		{5, false, false},
		{6, false, true},
		{6, true, false},
		{7, true, true},
	} {
		var isNew bool
		if step.put {
			isNew = c.Put(update(1, step.version))
		} else {
			isNew = c.Merge(update(1, step.version), c.generation)
		}
		if isNew != step.new {
			t.Errorf("version %d is new: %t", step.version, isNew)
		}
	}
	if got := c.Newest(1).Version; got != 7 {
		t.Errorf("newest: %d", got)
	}
	expectSince(t, c, 6, true, 7)
}

func TestCache_Since(t *testing.T) {
	t.Parallel()
	c := New()
	fill(c, 10, 8+2*shallowDepth, 2) // 10 to 40: every other version was conflated away
	for _, tt := range []struct {
		version  int64
		first, n int64
		complete bool
	}{
		{40, 0, 0, true},
		{41, 0, 0, true}, // another instance was ahead
		{38, 40, 1, true},
		{37, 38, 2, true}, // published, then conflated away elsewhere
		{10, 12, shallowDepth - 1, true},
		{9, 10, shallowDepth, true},
		{8, 40, 1, false},
		{0, 40, 1, false},
	} {
		t.Run(strconv.FormatInt(tt.version, 10), func(t *testing.T) {
			t.Parallel()
			got, complete := c.Since(1, at(tt.version))
			if complete != tt.complete || int64(len(got)) != tt.n || (tt.n > 0 && got[0].Version != tt.first) {
				t.Errorf("%v, complete %t", versions(got), complete)
			}
		})
	}
}

func TestCache_List(t *testing.T) {
	t.Parallel()
	c := New()
	for _, id := range []int64{5, 1, 9, 3, 7} {
		c.Put(&odds.Update{RaffleID: id, Epoch: "e", Version: 1, State: fmt.Sprint(id%4 == 1)})
		c.Put(&odds.Update{RaffleID: id, Epoch: "e", Version: 2, State: fmt.Sprint(id%4 == 1)})
	}
	list := func(after int64, limit int, keep func(*odds.Update) bool) (ids []int64) {
		for _, u := range c.List(after, limit, keep) {
			ids = append(ids, u.RaffleID)
		}
		return ids
	}
	newest := func(u *odds.Update) bool { return u.Version == 2 }
	if got := list(0, 3, newest); !slices.Equal(got, []int64{1, 3, 5}) {
		t.Errorf("first page: %v", got)
	}
	if got := list(5, 3, newest); !slices.Equal(got, []int64{7, 9}) {
		t.Errorf("second page: %v", got)
	}
	if got := list(1, 1, func(u *odds.Update) bool { return u.State == "true" }); !slices.Equal(got, []int64{5}) {
		t.Errorf("kept: %v", got)
	}
	if c.Len() != 5 {
		t.Errorf("%d raffles", c.Len())
	}
}

func TestCache_Changed(t *testing.T) {
	t.Parallel()
	c := New()
	isClosed := func(ch <-chan struct{}) bool {
		select {
		case <-ch:
			return true
		default:
			return false
		}
	}
	c.Put(update(1, 5))
	if !isClosed(c.Changed(&odds.Update{RaffleID: 1, Epoch: "e", Version: 4, Life: 1})) {
		t.Error("version 5 is newer than 4")
	}
	c.Put(update(2, 1))
	one, two, other := c.Changed(c.Newest(1)), c.Changed(c.Newest(1)), c.Changed(c.Newest(2))
	c.Put(update(1, 5))
	if isClosed(one) || isClosed(two) {
		t.Error("version 5 is not newer than 5")
	}
	c.Put(update(1, 6))
	if !isClosed(one) || !isClosed(two) || isClosed(other) {
		t.Error("version 6 has changed something else than raffle 1")
	}
	c.Merge(update(2, 2), 0)
	if !isClosed(other) {
		t.Error("a snapshot has changed nothing of raffle 2")
	}
	if !isClosed(c.Changed(update(3, 1))) {
		t.Error("a raffle that does not exist any more has not changed")
	}
	one = c.Changed(c.Newest(1))
	c.Merge(update(1, 7), c.generation)
	if !isClosed(one) {
		t.Error("a snapshot has changed nothing")
	}
}

//nolint:paralleltest // it measures what the whole process allocates
func TestCache_PutCostsTheSameHoweverDeep(t *testing.T) {
	c := New()
	fill(c, 1, 1, 1)
	c.Backfill(1, nil)
	const puts = 10_000
	updates := make([]*odds.Update, puts)
	for i := range updates {
		updates[i] = update(1, int64(i)+2)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for _, u := range updates {
		c.Put(u)
	}
	runtime.ReadMemStats(&after)
	if got, complete := c.Since(1, at(puts+1-int64(deepDepth))); len(got) != deepDepth || !complete {
		t.Fatalf("%d updates, complete %t", len(got), complete)
	}
	if each := (after.TotalAlloc - before.TotalAlloc) / puts; each > 64 {
		t.Errorf("%d bytes each", each)
	}
}

// TestCache_AgreesWithStream has messages of one raffle stored, heard and missed,
// and snapshots and backfills taken, in any order, as the feed would, and compares
// what the cache says with the stream.
func TestCache_AgreesWithStream(t *testing.T) {
	t.Parallel()
	for seed := range uint64(200) {
		synctest.Test(t, func(t *testing.T) { agree(t, rand.New(rand.NewPCG(seed, 0))) })
	}
}

func agree(t *testing.T, random *rand.Rand) {
	t.Helper()
	c := New()
	stream := []*odds.Update{update(1, 1)}
	c.Merge(stream[0], c.Invalidate())
	missed := false // a message was missed, and none was heard since
	publish := func(heard bool) {
		stream = append(stream, update(1, stream[len(stream)-1].Version+1+random.Int64N(3)))
		if !heard {
			missed = true
			return
		}
		if missed {
			c.Invalidate()
		}
		c.Put(stream[len(stream)-1])
		missed = false
	}
	for range 400 {
		switch random.IntN(12) {
		case 0:
			publish(false)
		case 1: // a snapshot, in whose midst something is heard
			generation, newest := c.Invalidate(), stream[len(stream)-1]
			if random.IntN(2) == 0 {
				publish(true)
			}
			c.Merge(newest, generation)
			missed = missed && newest != stream[len(stream)-1]
		case 2: // a backfill, perhaps a late one
			kept := stream[max(0, len(stream)-oddsstream.MessagesPerSubject):]
			for range random.IntN(3) {
				publish(random.IntN(4) > 0)
			}
			c.Backfill(1, kept)
		case 3:
			time.Sleep(resumeTimeout / 2)
		default:
			publish(true)
		}
		known := c.Newest(1).Version
		version := max(1, known-random.Int64N(500))
		got, complete := c.Since(1, at(version))
		var want []int64
		for _, u := range stream {
			if u.Version > version && u.Version <= known {
				want = append(want, u.Version)
			}
		}
		switch {
		case complete && !slices.Equal(versions(got), want):
			t.Fatalf("since %d: %v, want %v", version, versions(got), want)
		case !complete && (len(got) != 1 || got[0].Version != known):
			t.Fatalf("since %d: %v, want the newest, %d", version, versions(got), known)
		case !complete && c.Backfilled(1) && len(want) < oddsstream.MessagesPerSubject && !missed:
			t.Fatalf("since %d: the stream still holds %v", version, want)
		}
	}
}
