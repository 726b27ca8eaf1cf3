package batch

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/rafflecast/rafflecast/services/participation/internal/raffle"
)

// Store writes a batch in one transaction and answers each request in order. An
// error means that no result is known.
type Store interface {
	EnterBatch(ctx context.Context, reqs []raffle.EnterRequest) ([]raffle.EnterResult, error)
}

// Config bounds a Writer.
type Config struct {
	Lanes   int           // flushers, and so transactions at once; at least 1
	Queue   int           // calls that may wait in a lane; at least 1
	Batch   int           // most entries in one transaction; at least 1
	Timeout time.Duration // for one transaction, after which it counts as failed
}

// Writer writes entries in batches. Make it with New.
type Writer struct {
	store   Store
	cfg     Config
	lanes   []chan *call
	stopped chan struct{}
}

type call struct {
	ctx  context.Context //nolint:containedctx // the flusher asks whether its caller still waits
	req  raffle.EnterRequest
	done chan raffle.EnterResult // holds one, so that the flusher never waits
}

// New returns a writer that does nothing until Run.
func New(store Store, cfg Config) *Writer {
	w := &Writer{store: store, cfg: cfg, lanes: make([]chan *call, cfg.Lanes), stopped: make(chan struct{})}
	for i := range w.lanes {
		w.lanes[i] = make(chan *call, cfg.Queue)
	}
	return w
}

// Enter places one entry and returns its result. It fails with an error of
// package raffle, with raffle.ErrBusy where too many calls wait, or with the
// context's error, in which case the entry may still be placed.
func (w *Writer) Enter(ctx context.Context, req raffle.EnterRequest) (raffle.EnterResult, error) {
	c := &call{ctx: ctx, req: req, done: make(chan raffle.EnterResult, 1)}
	select {
	case <-w.stopped:
		return raffle.EnterResult{}, fmt.Errorf("%w: the service is stopping", raffle.ErrUnavailable)
	default:
	}
	select {
	case w.lanes[uint64(req.RaffleID)%uint64(len(w.lanes))] <- c:
	default:
		return raffle.EnterResult{}, raffle.ErrBusy
	}
	select {
	case res := <-c.done:
		return res, res.Err
	case <-ctx.Done():
		return raffle.EnterResult{}, context.Cause(ctx)
	case <-w.stopped:
	}
	// Run may have answered before it stopped, or never seen the call.
	select {
	case res := <-c.done:
		return res, res.Err
	default:
		return raffle.EnterResult{}, fmt.Errorf("%w: the service is stopping", raffle.ErrUnavailable)
	}
}

// Waiting returns how many calls wait to be written.
func (w *Writer) Waiting() int {
	n := 0
	for _, lane := range w.lanes {
		n += len(lane)
	}
	return n
}

// Run writes batches until ctx ends, then what is queued, and returns. Call it once.
func (w *Writer) Run(ctx context.Context) {
	defer close(w.stopped)
	var flushers sync.WaitGroup
	for _, lane := range w.lanes {
		flushers.Go(func() { w.flush(ctx, lane) })
	}
	flushers.Wait()
}

func (w *Writer) flush(ctx context.Context, lane chan *call) {
	// A transaction that has begun is finished, whoever stops us.
	write := context.WithoutCancel(ctx)
	for {
		select {
		case c := <-lane:
			w.write(write, w.gather(c, lane))
			continue
		default:
		}
		select {
		case c := <-lane:
			w.write(write, w.gather(c, lane))
		case <-ctx.Done():
			return // the lane was empty a moment ago
		}
	}
}

// gather adds to c what else waits by now.
func (w *Writer) gather(c *call, lane chan *call) []*call {
	calls := append(make([]*call, 0, min(w.cfg.Batch, len(lane)+1)), c)
	for len(calls) < w.cfg.Batch {
		select {
		case c := <-lane:
			calls = append(calls, c)
		default:
			return calls
		}
	}
	return calls
}

func (w *Writer) write(ctx context.Context, calls []*call) {
	waiting := calls[:0]
	reqs := make([]raffle.EnterRequest, 0, len(calls))
	for _, c := range calls {
		if c.ctx.Err() == nil { // else nobody waits: leave it unwritten
			waiting, reqs = append(waiting, c), append(reqs, c.req)
		}
	}
	if len(reqs) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, w.cfg.Timeout)
	defer cancel()
	results, err := w.store.EnterBatch(ctx, reqs)
	if errors.Is(err, context.DeadlineExceeded) {
		err = fmt.Errorf("%w: %w", raffle.ErrUnavailable, err)
	}
	for i, c := range waiting {
		if err != nil {
			c.done <- raffle.EnterResult{Err: err}
		} else {
			c.done <- results[i]
		}
	}
}
