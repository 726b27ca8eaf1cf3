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

	// shrinkInterval is how often ring buffers are looked for that can be shallow again.
	shrinkInterval = time.Second

	// maxDeepUpdates bounds how many updates all deep ring buffers hold together. An
	// update takes 0.6 KB, so they hold 60 MB, and twice as much at worst.
	maxDeepUpdates = 100_000

	// absentTimeout is how long a raffle may be absent from complete snapshots before
	// it counts as removed. A purged stream is filled again long before.
	absentTimeout = 10 * time.Second
)

// Cache holds the newest odds of every raffle and some updates before them. Make
// it with New.
type Cache struct {
	maxDeepUpdates int

	mu    sync.RWMutex
	rings map[int64]*ring // by raffle id; none is empty
	ids   []int64         // the keys of rings, ascending
	deep  map[int64]*ring // those of rings that are deep
	// removed has what ended the last life of a raffle that does not exist any more, so
	// that an older message which comes late does not bring it back.
	removed map[int64]ending
	// lives counts the lives that raffles have had.
	lives uint32
	// generation counts how often messages may have been missed.
	generation int
	lastShrink time.Time
	// changed has, for each raffle that somebody waits for, a channel that is closed
	// with its next update.
	changed map[int64]chan struct{}
}

// ending is the removal of a raffle.
type ending struct {
	epoch    string
	version  int64
	position odds.Position
}

// New returns an empty cache.
func New() *Cache {
	return &Cache{
		maxDeepUpdates: maxDeepUpdates,
		rings:          make(map[int64]*ring), deep: make(map[int64]*ring),
		removed: make(map[int64]ending), changed: make(map[int64]chan struct{}),
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

// Since returns the updates of a raffle after what a client has seen, in order. If
// older updates are no longer buffered, or belong to another life than what the client
// has seen, it returns only the newest, and complete is false. If nothing newer is
// known, it returns none, and complete is true.
func (c *Cache) Since(raffleID int64, seen odds.Seen) (updates []*odds.Update, complete bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	r := c.rings[raffleID]
	switch {
	case r == nil:
		return nil, true
	case r.newest().Epoch != seen.Epoch:
		return []*odds.Update{r.newest()}, false
	}
	return r.since(seen.Version)
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

// Changed returns a channel that is closed when u's raffle gets its next update or is
// removed, or is closed already if u is not the newest any more.
func (c *Cache) Changed(u *odds.Update) <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if r := c.rings[u.RaffleID]; r == nil || r.newest().Newer(u.Life, u.Version) {
		return closed
	}
	if c.changed[u.RaffleID] == nil {
		c.changed[u.RaffleID] = make(chan struct{})
	}
	return c.changed[u.RaffleID]
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
// what is cached; an older one is ignored. The removal of a raffle is newer only if
// the raffle is known.
func (c *Cache) Put(u *odds.Update) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.shrinkIdle()
	r := c.rings[u.RaffleID]
	if r != nil {
		r.present = c.generation
	}
	switch c.order(u, r) {
	case older, equal:
		return false
	case firstOfLife:
		return c.begin(u, r, c.generation)
	case newer:
		u.Life = r.newest().Life
		if r.generation != c.generation {
			r.reset(c.generation)
		}
		c.push(u, r)
	}
	return true
}

// Merge applies the update that a snapshot of the given generation found to be its
// raffle's newest, and reports whether it is newer than what is cached; an older
// one is ignored. If both have the same version, nothing was missed before it.
func (c *Cache) Merge(u *odds.Update, generation int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.rings[u.RaffleID]
	if r != nil {
		r.present = max(r.present, generation)
	}
	switch c.order(u, r) {
	case older:
		return false
	case equal:
		r.generation = max(r.generation, generation)
		return false
	case firstOfLife:
		return c.begin(u, r, generation)
	case newer:
		u.Life = r.newest().Life
		r.reset(generation)
		c.push(u, r)
	}
	return true
}

// order is how an update relates to what is cached of its raffle.
type order uint8

const (
	older order = iota
	equal
	newer
	firstOfLife // the raffle was not known, or had another life
)

// order returns how u relates to r, which is nil if the raffle is not cached. Within a
// life only a higher version is newer. Of two lives the one is newer that comes later
// in the stream.
func (c *Cache) order(u *odds.Update, r *ring) order {
	if r == nil {
		end, ended := c.removed[u.RaffleID]
		sameLife := u.Epoch == end.epoch
		if ended && (sameLife && u.Version <= end.version || !sameLife && !u.Position.After(end.position)) {
			return older
		}
		return firstOfLife
	}
	newest := r.newest()
	switch {
	case u.Epoch != newest.Epoch && u.Position.After(newest.Position):
		return firstOfLife
	case u.Epoch != newest.Epoch || u.Version < newest.Version:
		return older
	case u.Version == newest.Version:
		return equal
	}
	return newer
}

// begin adds a raffle, or a new life of one that r holds, with its first known update.
// It reports false if the raffle was not known and does not exist.
func (c *Cache) begin(u *odds.Update, r *ring, generation int) bool {
	if u.Removed {
		return c.remove(u, r)
	}
	c.lives++
	u.Life = c.lives
	delete(c.removed, u.RaffleID)
	if r != nil {
		r.reset(generation)
		c.push(u, r)
		return true
	}
	i, _ := slices.BinarySearch(c.ids, u.RaffleID)
	c.ids = slices.Insert(c.ids, i, u.RaffleID)
	c.rings[u.RaffleID] = &ring{generation: generation, present: generation, updates: []*odds.Update{u}}
	c.notify(u.RaffleID)
	return true
}

// push adds an update to r, whose life it is of.
func (c *Cache) push(u *odds.Update, r *ring) {
	if u.Removed {
		c.remove(u, r)
		return
	}
	r.push(u)
	c.notify(u.RaffleID)
}

// remove forgets a raffle because of its last update, and reports whether it was known.
func (c *Cache) remove(u *odds.Update, r *ring) bool {
	c.removed[u.RaffleID] = ending{u.Epoch, u.Version, u.Position}
	if r == nil {
		return false
	}
	if u.Life == 0 { // the last life was never seen: it ends as it begins
		c.lives++
		u.Life = c.lives
	}
	c.forget(u.RaffleID)
	return true
}

func (c *Cache) forget(raffleID int64) {
	delete(c.rings, raffleID)
	delete(c.deep, raffleID)
	if i, found := slices.BinarySearch(c.ids, raffleID); found {
		c.ids = slices.Delete(c.ids, i, i+1)
	}
	c.notify(raffleID)
}

// Absent returns the newest updates of the raffles that have been absent from complete
// snapshots for so long that they count as removed, and how many others are absent.
// The snapshot of this generation must have been complete.
func (c *Cache) Absent(generation int) (gone []*odds.Update, others int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	for _, r := range c.rings {
		switch {
		case r.present >= generation:
			r.absentSince = time.Time{}
		case r.absentSince.IsZero():
			r.absentSince = now
			others++
		case now.Sub(r.absentSince) < absentTimeout:
			others++
		default:
			gone = append(gone, r.newest())
		}
	}
	return gone, others
}

// RemoveAbsent forgets a raffle that Absent has returned, unless something has been
// heard of it since, and reports whether it did. If the stream gets it again, that is
// another life.
func (c *Cache) RemoveAbsent(newest *odds.Update) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.rings[newest.RaffleID]
	if r == nil || r.newest() != newest {
		return false
	}
	c.forget(newest.RaffleID)
	return true
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

// shrinkIdle makes ring buffers shallow again from which no client has resumed for a
// while. It is called with each update, and looks for them once a second.
func (c *Cache) shrinkIdle() {
	now := time.Now()
	if now.Sub(c.lastShrink) < shrinkInterval {
		return
	}
	c.lastShrink = now
	for id, r := range c.deep {
		if now.Sub(r.lastResumed()) >= resumeTimeout {
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

func (c *Cache) notify(raffleID int64) {
	if ch := c.changed[raffleID]; ch != nil {
		close(ch)
		delete(c.changed, raffleID)
	}
}
