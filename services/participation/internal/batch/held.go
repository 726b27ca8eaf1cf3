package batch

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rafflecast/rafflecast/services/participation/internal/raffle"
)

const (
	// Lanes is how many transactions, besides those of the partitions, wait for locked
	// raffles at the same time.
	Lanes = 2
	// maxHeld is for how long a call is tried again while its raffle is locked. It is
	// longer than the time after which the database ends the transaction of an instance
	// that was frozen.
	maxHeld = 3 * time.Second
	// laneWait is how long calls wait for a lane. After it they fail.
	laneWait = 2 * time.Second
	// cooldown is how long a raffle goes on having a lane to itself after it was found
	// locked, so that its next calls don't make a partition wait.
	cooldown = time.Second
)

// held are the calls for raffles that another transaction has locked. They wait for the
// lock in lanes of their own, so that the partitions go on with other raffles.
type held struct {
	limit int // of the calls of each raffle

	mu      sync.Mutex
	raffles map[int64]*heldRaffle
	queue   []*heldRaffle // those that wait for a lane
	wake    *sync.Cond    // signals that queue or stopped has changed
	stopped bool          // no calls will be added

	count atomic.Int64 // of raffles; 0 spares the partitions a look
	calls atomic.Int64
}

// heldRaffle is a raffle that was found locked a moment ago.
type heldRaffle struct {
	id     int64
	calls  []call
	queued bool // for a lane, or in one
	expiry *time.Timer
}

func newHeld(limit int) *held {
	h := &held{limit: limit, raffles: make(map[int64]*heldRaffle)}
	h.wake = sync.NewCond(&h.mu)
	return h
}

// errHeld is the result of a call that is tried again.
var errHeld = errors.New("the call is held")

// mayWait reports whether a call whose raffle is locked may be tried again.
func (c *call) mayWait() bool { return c.heldAt.IsZero() || time.Since(c.heldAt) < maxHeld }

// hold adds a call for a raffle that was found locked.
func (h *held) hold(c call) {
	if c.heldAt.IsZero() {
		c.heldAt = time.Now()
	}
	h.mu.Lock()
	r := h.raffles[c.req.RaffleID]
	if r == nil {
		r = &heldRaffle{id: c.req.RaffleID}
		h.raffles[r.id] = r
		h.count.Add(1)
	}
	taken := h.add(r, c)
	h.mu.Unlock()
	if !taken {
		c.fail(raffle.ErrBusy)
	}
}

// divert adds a call if its raffle was found locked a moment ago, and reports whether it
// was. Then the partition must leave the call alone.
func (h *held) divert(c call) bool {
	if h.count.Load() == 0 {
		return false
	}
	c.heldAt = time.Now()
	h.mu.Lock()
	r := h.raffles[c.req.RaffleID]
	taken := r != nil && h.add(r, c)
	h.mu.Unlock()
	if r != nil && !taken {
		c.fail(raffle.ErrBusy)
	}
	return r != nil
}

// add adds a call to a raffle, unless it has too many. The caller holds mu.
func (h *held) add(r *heldRaffle, c call) bool {
	if len(r.calls) >= h.limit {
		return false
	}
	r.calls = append(r.calls, c)
	h.calls.Add(1)
	if !r.queued {
		h.enqueue(r)
	}
	return true
}

// enqueue lets a raffle wait for a lane. The caller holds mu.
func (h *held) enqueue(r *heldRaffle) {
	r.queued = true
	h.queue = append(h.queue, r)
	h.expire(r, laneWait, func() {
		for i, waits := range h.queue {
			if waits == r {
				h.queue = append(h.queue[:i], h.queue[i+1:]...)
				h.fail(r.calls)
				h.remove(r)
				return
			}
		}
	})
	h.wake.Signal()
}

// expire calls f, with mu held, after a while, instead of what it was to call before.
func (h *held) expire(r *heldRaffle, after time.Duration, f func()) {
	if r.expiry != nil {
		r.expiry.Stop()
	}
	var timer *time.Timer
	timer = time.AfterFunc(after, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		if r.expiry == timer {
			f()
		}
	})
	r.expiry = timer
}

// fail completes calls that have waited in vain.
func (h *held) fail(calls []call) {
	h.calls.Add(-int64(len(calls)))
	for _, c := range calls {
		c.fail(raffle.ErrLocked)
	}
}

func (h *held) remove(r *heldRaffle) {
	r.expiry.Stop()
	delete(h.raffles, r.id)
	h.count.Add(-1)
}

// stop lets the lanes end once no call is left. No call may be added after it.
func (h *held) stop() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.stopped = true
	h.wake.Broadcast()
}

// take waits for a raffle, and returns it with at most limit of its calls. It returns
// nil after stop, once no raffle waits.
func (h *held) take(limit int) (*heldRaffle, []call) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for len(h.queue) == 0 {
		if h.stopped {
			return nil, nil
		}
		h.wake.Wait()
	}
	r := h.queue[0]
	h.queue = h.queue[1:]
	r.expiry.Stop()
	h.failExpired(r)
	n := min(limit, len(r.calls))
	calls := append([]call(nil), r.calls[:n]...)
	r.calls = append([]call(nil), r.calls[n:]...)
	h.calls.Add(-int64(n))
	return r, calls
}

// failExpired fails the calls of a raffle that may not be tried again. The caller holds
// mu.
func (h *held) failExpired(r *heldRaffle) {
	live, expired := r.calls[:0:0], []call(nil)
	for _, c := range r.calls {
		if c.mayWait() {
			live = append(live, c)
		} else {
			expired = append(expired, c)
		}
	}
	r.calls = live
	h.fail(expired)
}

// done gives back a raffle that take has returned.
func (h *held) done(r *heldRaffle) {
	h.mu.Lock()
	defer h.mu.Unlock()
	r.queued = false
	if len(r.calls) > 0 {
		h.enqueue(r)
		return
	}
	h.expire(r, cooldown, func() {
		if !r.queued {
			h.remove(r)
		}
	})
}

// lane writes the calls of locked raffles, one raffle after the other, until stop.
func (w *Writer) lane(ctx context.Context) {
	for {
		r, calls := w.held.take(w.cfg.Batch)
		if r == nil {
			return
		}
		w.write(ctx, calls, make([]raffle.EnterRequest, 0, len(calls)), w.store.EnterLocked, nil)
		w.held.done(r)
	}
}
