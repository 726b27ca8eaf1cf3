package batch

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/rafflecast/rafflecast/services/participation/internal/raffle"
)

// partition is the queue of some raffles. Two goroutines write its batches, so that the
// database has the next batch while the service completes the calls of the one before
// (pipelining).
type partition struct {
	queue *queue
	last  chan *flight // the flight that was begun last; only who has received it may gather
}

// flight is a batch that is being written.
type flight struct {
	size    int           // in calls; used only by who gathers
	written chan struct{} // closed when its calls, and those of the flight before, are completed
}

func newFlight(size int) *flight { return &flight{size: size, written: make(chan struct{})} }

func (f *flight) isWritten() bool {
	select {
	case <-f.written:
		return true
	default:
		return false
	}
}

func newPartition(size int) *partition {
	p := &partition{queue: newQueue(size), last: make(chan *flight, 1)}
	none := newFlight(0)
	close(none.written)
	p.last <- none
	return p
}

// flushAll writes the calls of a partition, batch by batch, until it is closed and empty.
func (w *Writer) flushAll(ctx context.Context, p *partition) {
	room, reqs := make([]call, 0, w.cfg.Batch), make([]raffle.EnterRequest, 0, w.cfg.Batch)
	for {
		before := <-p.last
		calls := p.queue.gather(room, w.cfg.Batch, before)
		if calls == nil {
			p.last <- before
			return
		}
		this := newFlight(len(calls))
		p.last <- this
		w.flush(ctx, p, calls, reqs, before, this)
		<-before.written // this one may have failed earlier
		close(this.written)
	}
}

// flush writes the calls of a flight, except those for raffles that are locked, which go on
// waiting elsewhere. If the flight before is still being written, they are sent behind it, or
// wait for it if they can't be.
func (w *Writer) flush(ctx context.Context, p *partition, calls []call, reqs []raffle.EnterRequest,
	before, this *flight,
) {
	calls = slices.DeleteFunc(calls, w.held.divert)
	if !before.isWritten() {
		calls = w.write(ctx, calls, reqs, w.store.EnterNext, before.written)
		if len(calls) == 0 {
			return
		}
		select {
		case last := <-p.last:
			<-before.written
			calls = p.queue.refill(calls, w.cfg.Batch)
			this.size = len(calls)
			p.last <- last
		default: // The other goroutine has written its batch by now, and gathers the next one.
		}
		calls = slices.DeleteFunc(calls, w.held.divert)
	}
	w.write(ctx, calls, reqs, w.store.EnterBatch, nil)
}

// timeout returns a context that ends when a transaction has taken too long since the batch
// before it was written, or since now if before is nil.
func (w *Writer) timeout(ctx context.Context, before <-chan struct{}) (context.Context, context.CancelFunc) {
	if before == nil {
		return context.WithTimeout(ctx, w.cfg.Timeout)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	var timing sync.WaitGroup
	timing.Go(func() {
		select {
		case <-before:
		case <-ctx.Done():
			return
		}
		select {
		case <-time.After(w.cfg.Timeout):
			cancel(context.DeadlineExceeded)
		case <-ctx.Done():
		}
	})
	return ctx, func() { cancel(nil); timing.Wait() }
}
