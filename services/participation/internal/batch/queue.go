package batch

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/rafflecast/rafflecast/services/participation/internal/raffle"
)

// followPercent is how large a batch is at least, in percent of the one that is still being
// written, when it is sent behind it. A batch that is sent too early is small, and each
// transaction has a fixed cost; one that is sent too late leaves the database idle.
const followPercent = 60

// queue holds the calls that wait in a partition. Entries of streams have a channel of
// their own, so that streams never take the room, or the time, of single calls.
//
// Of a batch, streams have half if they need it, and single calls the other half if they do.
type queue struct {
	single chan call
	stream chan call
	back   []call // entries of streams that gave up their place in a batch; used only by who gathers

	enough atomic.Int64  // how many calls await waits for; 0: it does not
	ready  chan struct{} // signals that there may be enough; its capacity is 1
}

func newQueue(size int) *queue {
	return &queue{single: make(chan call, size), stream: make(chan call, size), ready: make(chan struct{}, 1)}
}

func (q *queue) len() int { return len(q.single) + len(q.stream) }

func (q *queue) close() {
	close(q.single)
	close(q.stream)
}

// gather waits for a call, and returns it with those that are queued by then, up to a
// full batch. It returns none once the queue is closed and empty. While the flight before
// is being written, it waits for enough calls to follow it.
func (q *queue) gather(calls []call, batch int, before *flight) []call {
	q.await((before.size*followPercent+99)/100-len(q.back), before.written)
	calls = append(calls, q.back...)
	clear(q.back)
	q.back = q.back[:0]
	if len(calls) == 0 {
		first, open := q.first()
		if !open {
			return nil
		}
		calls = append(calls, first)
		release(calls)
	}
	return q.fill(calls, batch)
}

// await waits until n calls are queued, or the flight before is written.
func (q *queue) await(n int, written <-chan struct{}) {
	q.enough.Store(int64(n))
	defer q.enough.Store(0)
	for q.len() < n {
		select {
		case <-q.ready:
		case <-written:
			return
		}
	}
}

// fill adds calls that are queued to a batch, until it is full.
func (q *queue) fill(calls []call, batch int) []call {
	had := len(calls)
	forStreams := max(0, batch/2-(had-singles(calls)))
	calls = take(calls, q.single, batch-min(len(q.stream), forStreams))
	calls = take(calls, q.stream, batch)
	release(calls[had:])
	return calls
}

// refill adds calls that are queued to a batch that has waited, until it is full. If single
// calls need their half of it, the last entries of streams go back for them.
func (q *queue) refill(calls []call, batch int) []call {
	room := min(len(q.single), max(0, batch/2-singles(calls)))
	if keep := batch - room; keep < len(calls) {
		q.back = append(q.back, calls[keep:]...)
		calls = calls[:keep] // of what is beyond, fill overwrites all
	}
	return q.fill(calls, batch)
}

// singles counts the single calls.
func singles(calls []call) (n int) {
	for i := range calls {
		if calls[i].share == nil {
			n++
		}
	}
	return n
}

// first waits for a call. It reports false once the queue is closed and empty.
func (q *queue) first() (c call, open bool) {
	select {
	case c, open = <-q.single:
		if !open {
			c, open = <-q.stream
		}
	case c, open = <-q.stream:
		if !open {
			c, open = <-q.single
		}
	}
	return c, open
}

// take adds the calls that are queued, until there are n.
func take(calls []call, from <-chan call, n int) []call {
	for len(calls) < n {
		select {
		case c, open := <-from:
			if !open {
				return calls
			}
			calls = append(calls, c)
		default:
			return calls
		}
	}
	return calls
}

// release gives the places of calls in the queue back to their streams.
func release(calls []call) {
	for i := 0; i < len(calls); {
		share, n := calls[i].share, int64(0)
		for ; i < len(calls) && calls[i].share == share; i++ {
			n++
		}
		if share != nil {
			share.Add(-n)
		}
	}
}

// shareFactor times the free places of a queue is what one stream may hold of it: four
// fifths if it is alone, four thirteenths if there are three, and so on. So there is
// always room for another one. https://doi.org/10.1109/90.664262 (dynamic thresholds)
const shareFactor = 4

// Submitter returns what a stream submits its entries by. complete is called with the id of
// each entry that was submitted and its result, exactly once, before submit returns or later
// from another goroutine. It must not block and must not change the result.
//
// Entries of streams wait in a part of the queue of their own, of which each stream has
// a share. What is beyond the share fails with raffle.ErrBusy.
//
// submit is safe for concurrent use.
func (w *Writer) Submitter(complete func(id int64, res *raffle.EnterResult)) (submit func(ctx context.Context, id int64, req raffle.EnterRequest)) {
	held := make([]atomic.Int64, len(w.partitions)) // places in the queue of each partition
	return func(ctx context.Context, id int64, req raffle.EnterRequest) {
		w.submit(call{ctx: ctx, req: req, id: id, answer: complete, share: &held[w.partitionOf(req)]})
	}
}

// submit puts a call into its partition, or answers it with why it can't.
func (w *Writer) submit(c call) {
	if err := w.enqueue(c); err != nil {
		c.fail(err)
	}
}

// partitionOf returns the index of the partition of a request.
func (w *Writer) partitionOf(req raffle.EnterRequest) int {
	return int(uint64(req.RaffleID) % uint64(len(w.partitions)))
}

// enqueue puts a call into its partition, unless there is no room for it.
func (w *Writer) enqueue(c call) error {
	if w.cfg.Tag != nil {
		c.req.Tag = w.cfg.Tag(c.req.RaffleID, c.req.MemberID)
	}
	w.mu.RLock()
	defer w.mu.RUnlock()
	if w.stopped {
		return fmt.Errorf("%w: the service is stopping", raffle.ErrUnavailable)
	}
	if w.partitions[w.partitionOf(c.req)].queue.put(c) {
		return nil
	}
	if w.cfg.OnRefused != nil {
		w.cfg.OnRefused()
	}
	return raffle.ErrBusy
}

// put adds a call, and reports whether there was room for it.
func (q *queue) put(c call) bool {
	added := q.add(c)
	if n := q.enough.Load(); n > 0 && int64(q.len()) >= n {
		select {
		case q.ready <- struct{}{}:
		default: // It is signalled already.
		}
	}
	return added
}

func (q *queue) add(c call) bool {
	if c.share == nil {
		return offer(q.single, c)
	}
	if c.share.Load() >= shareFactor*int64(cap(q.stream)-len(q.stream)) {
		return false
	}
	c.share.Add(1) // before it can be taken out
	if offer(q.stream, c) {
		return true
	}
	c.share.Add(-1)
	return false
}

func offer(to chan<- call, c call) bool {
	select {
	case to <- c:
		return true
	default:
		return false
	}
}
