package batch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"go.opentelemetry.io/otel/trace"

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
	Log     *slog.Logger  // hears of each batch that failed
	// Wrote, where set, is told of each batch, from any of the flushers.
	Wrote func(Report)
	// Refused, where set, is told of each call that found its queue full.
	Refused func()
	// Tracer, where set, makes a span of each batch with a call that is traced.
	Tracer trace.Tracer
}

// Report is what came of one batch.
type Report struct {
	Placed   int // new entries
	Repeats  int // of requests that were placed before
	Rejected int // by the rules
	Failed   int // all, or none
	Took     time.Duration
}

// Writer writes entries in batches. Make it with New.
type Writer struct {
	store Store
	cfg   Config
	lanes []chan call

	mu      sync.RWMutex // held while a call is put into a lane
	stopped bool         // the lanes are closed
}

type call struct {
	ctx    context.Context //nolint:containedctx // the flusher asks whether its caller still waits
	req    raffle.EnterRequest
	answer func(*raffle.EnterResult)
}

// New returns a writer that does nothing until Run.
func New(store Store, cfg Config) *Writer {
	w := &Writer{store: store, cfg: cfg, lanes: make([]chan call, cfg.Lanes)}
	for i := range w.lanes {
		w.lanes[i] = make(chan call, cfg.Queue)
	}
	return w
}

// Enter places one entry and returns its result. It fails with an error of
// package raffle, with raffle.ErrBusy where too many calls wait, or with the
// context's error, where that ended before the batch began: then the entry is not
// placed. It does not return before that is known.
func (w *Writer) Enter(ctx context.Context, req raffle.EnterRequest) (*raffle.EnterResult, error) {
	done := make(chan *raffle.EnterResult, 1)
	w.Submit(ctx, req, func(res *raffle.EnterResult) { done <- res })
	// The flusher looks after ctx: waiting for both here would cost each call more
	// than all the rest of this package.
	res := <-done
	return res, res.Err
}

// Submit hands over one entry to place and returns at once. answer is called
// exactly once with what came of it, before Submit returns or from another
// goroutine, and must not block or change it.
func (w *Writer) Submit(ctx context.Context, req raffle.EnterRequest, answer func(*raffle.EnterResult)) {
	if err := w.queue(call{ctx, req, answer}); err != nil {
		answer(&raffle.EnterResult{Err: err})
	}
}

func (w *Writer) queue(c call) error {
	w.mu.RLock()
	defer w.mu.RUnlock()
	if w.stopped {
		return fmt.Errorf("%w: the service is stopping", raffle.ErrUnavailable)
	}
	select {
	case w.lanes[uint64(c.req.RaffleID)%uint64(len(w.lanes))] <- c:
		return nil
	default:
		if w.cfg.Refused != nil {
			w.cfg.Refused()
		}
		return raffle.ErrBusy
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
	var flushers sync.WaitGroup
	for _, lane := range w.lanes {
		flushers.Go(func() { w.flush(context.WithoutCancel(ctx), lane) })
	}
	<-ctx.Done()
	w.mu.Lock()
	w.stopped = true
	for _, lane := range w.lanes {
		close(lane)
	}
	w.mu.Unlock()
	flushers.Wait()
}

func (w *Writer) flush(ctx context.Context, lane chan call) {
	calls, reqs := make([]call, 0, w.cfg.Batch), make([]raffle.EnterRequest, 0, w.cfg.Batch)
	for c := range lane {
		calls = w.gather(append(calls[:0], c), lane)
		w.write(ctx, calls, reqs)
		clear(calls) // let go of the callers
	}
}

// gather adds what else waits by now.
func (w *Writer) gather(calls []call, lane chan call) []call {
	for len(calls) < w.cfg.Batch {
		select {
		case c, open := <-lane:
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

// write writes the calls that somebody still waits for, and answers all. reqs is
// room to use.
func (w *Writer) write(ctx context.Context, calls []call, reqs []raffle.EnterRequest) {
	waiting := calls[:0]
	for _, c := range calls {
		if c.ctx.Err() != nil { // leave it unwritten
			c.answer(&raffle.EnterResult{Err: context.Cause(c.ctx)})
			continue
		}
		waiting, reqs = append(waiting, c), append(reqs, c.req)
	}
	if len(reqs) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, w.cfg.Timeout)
	defer cancel()
	ctx, end := w.trace(ctx, waiting)
	start := time.Now()
	results, err := w.store.EnterBatch(ctx, reqs)
	took := time.Since(start)
	end(err)
	if errors.Is(err, context.DeadlineExceeded) {
		err = fmt.Errorf("%w: %w", raffle.ErrUnavailable, err)
	}
	if err != nil {
		w.cfg.Log.ErrorContext(ctx, "a batch of entries failed", "entries", len(reqs), "error", err)
	}
	if w.cfg.Wrote != nil {
		w.cfg.Wrote(report(results, len(reqs), took))
	}
	for i, c := range waiting {
		if err != nil {
			c.answer(&raffle.EnterResult{Err: err})
		} else {
			c.answer(&results[i])
		}
	}
}

// report counts results; where there are none, all failed.
func report(results []raffle.EnterResult, n int, took time.Duration) Report {
	r := Report{Failed: n - len(results), Took: took}
	for i := range results {
		switch {
		case results[i].Err != nil:
			r.Rejected++
		case results[i].Repeat:
			r.Repeats++
		default:
			r.Placed++
		}
	}
	return r
}
