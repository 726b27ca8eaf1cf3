package cache

import (
	"cmp"
	"slices"
	"sync/atomic"
	"time"

	"github.com/rafflecast/rafflecast/services/gateway/internal/odds"
	"github.com/rafflecast/rafflecast/services/internal/oddsstream"
)

const (
	// shallowDepth is how many updates a ring buffer holds unless clients ask for more: a
	// client that was away for a moment gets from them what it missed.
	shallowDepth = 16
	// deepDepth is how many it holds of a raffle from which clients resume: as many as the
	// stream.
	deepDepth = oddsstream.MessagesPerSubject
)

// ring is the ring buffer of one raffle's recent updates.
//
// It is a slice to which updates are appended and from whose beginning they are
// dropped; append copies it now and then, which costs a constant time per update.
// No element is ever overwritten, so readers share parts of the slice instead of
// copying them. Until append copies it, up to as many dropped updates as there are
// others stay in memory.
type ring struct {
	updates     []*odds.Update // of one life, by version, the newest last
	generation  int            // of the cache; no message was missed within it
	deep        bool
	backfilled  bool         // the stream has no message of the raffle that is not here
	present     int          // the last generation in which the stream is known to have the raffle
	absentSince time.Time    // when a complete snapshot first lacked it
	resumedAt   atomic.Int64 // Unix time in ns when a client last resumed from it while it is deep
}

func (r *ring) newest() *odds.Update { return r.updates[len(r.updates)-1] }

// push appends an update and drops the oldest if there are too many.
func (r *ring) push(u *odds.Update) {
	r.updates = append(r.updates, u)
	r.updates = r.updates[max(0, len(r.updates)-r.depth()):]
}

func (r *ring) depth() int {
	if r.deep {
		return deepDepth
	}
	return shallowDepth
}

// reset drops all updates, since messages after them may have been missed. The next
// call must be push.
func (r *ring) reset(generation int) {
	r.generation, r.updates, r.backfilled = generation, nil, false
}

// since implements Cache.Since. Several goroutines may call it at once.
func (r *ring) since(version int64) (updates []*odds.Update, complete bool) {
	i, found := slices.BinarySearchFunc(r.updates, version, func(u *odds.Update, version int64) int {
		return cmp.Compare(u.Version, version)
	})
	if found {
		i++
	}
	if i == len(r.updates) {
		return nil, true
	}
	if r.deep {
		r.resumedAt.Store(time.Now().UnixNano())
	}
	// A version that is not here itself was conflated away if there are an older and
	// a newer one, or if the next one is here.
	if i > 0 || r.updates[0].Version == version+1 {
		return r.updates[i:len(r.updates):len(r.updates)], true
	}
	last := len(r.updates)
	return r.updates[last-1 : last : last], false
}

// backfill puts what the stream holds before the updates, and makes the ring deep.
// It reports whether it could: the last of the stream's updates must not be older
// than the first one here.
func (r *ring) backfill(stored []*odds.Update) bool {
	of := r.newest()
	isOther := func(u *odds.Update) bool { return u.Epoch != of.Epoch }
	if len(stored) > 0 {
		// What precedes and follows this life is none of its updates.
		stored = slices.DeleteFunc(slices.Clone(stored), isOther)
		if len(stored) == 0 {
			return false
		}
	}
	first := r.updates[0].Version
	i := slices.IndexFunc(stored, func(u *odds.Update) bool { return u.Version >= first })
	switch {
	case len(stored) == 0: // nothing to add
	case i < 0 || i > 0 && stored[i].Version != first:
		return false
	default:
		for _, u := range stored[:i] {
			if u.Life == 0 { // nobody else has it yet
				u.Life = of.Life
			}
		}
		r.updates = slices.Concat(stored[:i], r.updates)
	}
	r.deep, r.backfilled = true, true
	r.resumedAt.Store(time.Now().UnixNano())
	return true
}

// shrink makes the ring shallow.
func (r *ring) shrink() {
	r.deep, r.backfilled = false, false
	r.updates = slices.Clone(r.updates[max(0, len(r.updates)-shallowDepth):])
}

func (r *ring) lastResumed() time.Time { return time.Unix(0, r.resumedAt.Load()) }
