package cache

import (
	"slices"
	"sync"
	"time"

	"github.com/rafflecast/rafflecast/services/gateway/internal/odds"
)

const (
	// resumeTimeout is how long a ring buffer stays deep after a client has resumed
	// from it.
	resumeTimeout = time.Minute

	// maxDeepUpdates bounds how many updates all deep ring buffers hold together. An
	// update takes 0.6 KB, so they hold 60 MB, and twice as much at worst.
	maxDeepUpdates = 100_000
)

// Cache holds the newest odds of every raffle and some updates before them. Make
// it with New.
type Cache struct {
	maxDeepUpdates int

	mu    sync.RWMutex
	rings map[int64]*ring // by raffle id; none is empty
	ids   []int64         // the keys of rings, ascending
	deep  map[int64]*ring // those of rings that are deep
	// generation counts how often messages may have been missed.
	generation int
	// changed has, for each raffle that somebody waits for, a channel that is closed
	// with its next update.
	changed map[int64]chan struct{}
}

// New returns an empty cache.
func New() *Cache {
	return &Cache{
		maxDeepUpdates: maxDeepUpdates,
		rings:          make(map[int64]*ring), deep: make(map[int64]*ring), changed: make(map[int64]chan struct{}),
	}
}

// Newest returns a raffle's newest odds, or nil if the raffle is unknown.
func (c *Cache) Newest(raffleID int64) *odds.Update {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if r := c.rings[raffleID]; r != nil {
		return r.newest()
	}
	return nil
}

// Since returns the updates of a raffle after a version, in order. If older updates
// are no longer buffered, it returns only the newest, and complete is false. If
// nothing newer than the version is known, it returns none, and complete is true.
func (c *Cache) Since(raffleID, version int64) (updates []*odds.Update, complete bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if r := c.rings[raffleID]; r != nil {
		return r.since(version)
	}
	return nil, true
}

// List returns up to limit newest odds that keep accepts, of raffles with ids above
// after, by ascending id. keep must not call methods of c.
func (c *Cache) List(after int64, limit int, keep func(*odds.Update) bool) []*odds.Update {
	c.mu.RLock()
	defer c.mu.RUnlock()
	var found []*odds.Update
	start, _ := slices.BinarySearch(c.ids, after+1)
	for _, id := range c.ids[start:] {
		if len(found) == limit {
			break
		}
		if u := c.rings[id].newest(); keep(u) {
			found = append(found, u)
		}
	}
	return found
}

// Len returns how many raffles are known.
func (c *Cache) Len() int {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return len(c.ids)
}

// closed is what Changed returns if there is nothing to wait for.
var closed = func() chan struct{} { ch := make(chan struct{}); close(ch); return ch }()

// Changed returns a channel that is closed when a raffle gets its next update, or
// is closed already if a newer version than this one is known.
func (c *Cache) Changed(raffleID, version int64) <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if r := c.rings[raffleID]; r != nil && r.newest().Version > version {
		return closed
	}
	if c.changed[raffleID] == nil {
		c.changed[raffleID] = make(chan struct{})
	}
	return c.changed[raffleID]
}

// Invalidate records that messages of any raffle may have been missed, and returns
// the generation that begins. Ring buffers of older generations start anew with
// their next update, unless Merge finds before that they have missed nothing.
func (c *Cache) Invalidate() (generation int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.generation++
	return c.generation
}

// Put adds an update that was received live and reports whether it is newer than
// what is cached; an older one is ignored. If contiguous is false, messages may have
// been missed directly before it.
func (c *Cache) Put(u *odds.Update, contiguous bool) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.rings[u.RaffleID]
	switch {
	case r == nil:
		c.add(u, c.generation)
		return true
	case u.Version <= r.newest().Version:
		return false
	case r.generation != c.generation || !contiguous:
		r.reset(c.generation)
	}
	r.push(u)
	c.notify(u.RaffleID)
	return true
}

// Merge applies the update that a snapshot of the given generation found to be its
// raffle's newest, and reports whether it is newer than what is cached; an older
// one is ignored. If both have the same version, nothing was missed before it.
func (c *Cache) Merge(u *odds.Update, generation int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.rings[u.RaffleID]
	switch {
	case r == nil:
		c.add(u, generation)
		return true
	case u.Version > r.newest().Version:
		r.reset(generation)
		r.push(u)
		c.notify(u.RaffleID)
		return true
	case u.Version == r.newest().Version:
		r.generation = max(r.generation, generation)
	}
	return false
}

// Backfilled reports whether Backfill has nothing to add to a raffle.
func (c *Cache) Backfilled(raffleID int64) bool {
	c.mu.RLock()
	defer c.mu.RUnlock()
	r := c.rings[raffleID]
	return r == nil || r.backfilled
}

// Backfill puts what the stream holds of a raffle, in order, before the updates that
// are buffered. If the two do not meet it changes nothing, since something may be
// missing between them.
func (c *Cache) Backfill(raffleID int64, stored []*odds.Update) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if r := c.rings[raffleID]; r != nil && r.backfill(stored) {
		c.deep[raffleID] = r
		c.limitDeep()
	}
}

// Shrink makes ring buffers shallow again from which no client has resumed for a
// while. It must be called now and then.
func (c *Cache) Shrink() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for id, r := range c.deep {
		if time.Since(r.lastResumed()) >= resumeTimeout {
			c.shrink(id)
		}
	}
	c.limitDeep()
}

// limitDeep makes ring buffers shallow for as long as the deep ones hold too much.
func (c *Cache) limitDeep() {
	total := 0
	for _, r := range c.deep {
		total += len(r.updates)
	}
	for total > c.maxDeepUpdates {
		var oldest int64
		for id, r := range c.deep {
			if c.deep[oldest] == nil || r.lastResumed().Before(c.deep[oldest].lastResumed()) {
				oldest = id
			}
		}
		total -= len(c.deep[oldest].updates)
		c.shrink(oldest)
	}
}

func (c *Cache) shrink(raffleID int64) {
	c.deep[raffleID].shrink()
	delete(c.deep, raffleID)
}

// add adds a raffle with its first known update.
func (c *Cache) add(u *odds.Update, generation int) {
	i, _ := slices.BinarySearch(c.ids, u.RaffleID)
	c.ids = slices.Insert(c.ids, i, u.RaffleID)
	c.rings[u.RaffleID] = &ring{generation: generation, updates: []*odds.Update{u}}
	c.notify(u.RaffleID)
}

func (c *Cache) notify(raffleID int64) {
	if ch := c.changed[raffleID]; ch != nil {
		close(ch)
		delete(c.changed, raffleID)
	}
}
