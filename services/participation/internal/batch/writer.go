package batch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/trace"
	"golang.org/x/time/rate"

	"github.com/rafflecast/rafflecast/services/participation/internal/raffle"
)

// Store writes a batch in one transaction and returns one result per request, in
// the order of the requests. If it returns an error, no result is known.
type Store interface {
	// Requests for a raffle that another transaction has locked have the result
	// raffle.ErrLocked, after a wait that other raffles can bear.
	EnterBatch(ctx context.Context, reqs []raffle.EnterRequest) ([]raffle.EnterResult, error)
	// EnterNext is EnterBatch for requests that follow a batch that another goroutine is
	// writing: they are sent without waiting for its answer. It fails with
	// raffle.ErrNotNext, having written nothing, if they can't follow; then they are entered
	// by EnterBatch once that batch is written.
	EnterNext(ctx context.Context, reqs []raffle.EnterRequest) ([]raffle.EnterResult, error)
	// EnterLocked is EnterBatch for a raffle that was locked: it waits for longer.
	EnterLocked(ctx context.Context, reqs []raffle.EnterRequest) ([]raffle.EnterResult, error)
}

// Config configures a Writer.
type Config struct {
	Partitions int           // transactions at once, each with one that follows it; at least 1
	Queue      int           // calls that may wait in each partition, and again entries of streams; at least 1
	Batch      int           // most entries in one transaction; at least 1
	Timeout    time.Duration // for one transaction; after it the batch has failed
	Log        *slog.Logger  // logs batches that failed
	// Available, if set, returns why the database can't be used at present, or nil. While it
	// does, and the last batch has failed, calls fail at once instead of after Timeout.
	Available func() error
	// Tag, if set, is called for each request before it is queued, by the caller's
	// goroutine, and returns the tag of the request.
	Tag func(raffleID int64, memberID string) raffle.Tag
	// OnWritten, if set, is called with the outcome of each batch. Calls from
	// several goroutines may overlap.
	OnWritten func(Outcome)
	// OnPlaced, if set, is called with how many new entries a raffle has, in the same way,
	// once or several times for each raffle of a batch.
	OnPlaced func(raffleID int64, entries int)
	// OnRefused, if set, is called for each call that found its partition full.
	OnRefused func()
	// Tracer, if set, makes a span for each batch that has a traced call in it.
	Tracer trace.Tracer
}

// Outcome counts what became of the requests of one batch.
type Outcome struct {
	Placed   int           // new entries
	Replayed int           // requests whose entry was placed before
	Rejected int           // requests that the rules forbid
	Failed   int           // requests without a result, because the transaction failed, or was not tried
	Duration time.Duration // since the transaction was sent; 0: it was not tried
}

// Writer writes entries in batches. Make it with New.
type Writer struct {
	store      Store
	cfg        Config
	partitions []*partition
	held       *held

	unavailableLog rate.Sometimes
	failing        atomic.Bool // the last batch found the database unavailable

	mu      sync.RWMutex // held for reading while a call is put into a partition
	stopped bool         // the partitions are closed
}

type call struct {
	// ctx is kept because the caller may give up while the call is queued: the
	// batch leaves out calls whose context has ended.
	ctx    context.Context //nolint:containedctx // a queued call has no other place for it
	req    raffle.EnterRequest
	id     int64 // of the call, among those that answer is called for
	answer func(id int64, res *raffle.EnterResult)
	heldAt time.Time     // when the raffle was found locked; zero: it was not
	share  *atomic.Int64 // places in the queue that the call's stream holds; nil: it is a single call
}

// complete answers the call. It must be called once.
func (c *call) complete(res *raffle.EnterResult) { c.answer(c.id, res) }

// fail answers the call with an error.
func (c *call) fail(err error) { c.complete(&raffle.EnterResult{Err: err}) }

// New returns a writer. It writes nothing until Run is called.
func New(store Store, cfg Config) *Writer {
	w := &Writer{
		store: store, cfg: cfg, held: newHeld(cfg.Queue), partitions: make([]*partition, cfg.Partitions),
		unavailableLog: rate.Sometimes{Interval: logInterval},
	}
	for i := range w.partitions {
		w.partitions[i] = newPartition(cfg.Queue)
	}
	return w
}

// Enter places one entry and returns its result. It fails with an error of
// package raffle, with raffle.ErrBusy if too many calls are waiting, or with the
// cause of ctx if that ended before the batch began. In the last two cases the entry
// is not placed.
//
// Enter does not return as soon as ctx ends, but when it is known whether the entry
// was placed.
func (w *Writer) Enter(ctx context.Context, req raffle.EnterRequest) (*raffle.EnterResult, error) {
	// Waiting for ctx here as well would cost a call more than the rest of this
	// package; the partition's goroutines look at it anyway.
	return w.Submit(ctx, req).Result()
}

// Submit queues one entry and returns at once. The future has the result that Enter
// would have returned.
func (w *Writer) Submit(ctx context.Context, req raffle.EnterRequest) *Future {
	f := newFuture()
	w.submit(call{ctx: ctx, req: req, answer: f.complete})
	return f
}

// Waiting returns how many calls are queued.
func (w *Writer) Waiting() int {
	n := int(w.held.calls.Load())
	for i := range w.partitions {
		n += w.partitions[i].queue.len()
	}
	return n
}

// Run writes batches until ctx ends, then writes what is queued, and returns. Call
// it once.
func (w *Writer) Run(ctx context.Context) {
	var flushing sync.WaitGroup
	for _, p := range w.partitions {
		for range 2 {
			flushing.Go(func() { w.flushAll(context.WithoutCancel(ctx), p) })
		}
	}
	var lanes sync.WaitGroup
	for range Lanes {
		lanes.Go(func() { w.lane(context.WithoutCancel(ctx)) })
	}
	<-ctx.Done()
	w.mu.Lock()
	w.stopped = true
	for i := range w.partitions {
		w.partitions[i].queue.close()
	}
	w.mu.Unlock()
	flushing.Wait()
	w.held.stop()
	lanes.Wait()
}

// write writes those calls whose context has not ended, by enter, and completes all of
// them, except those for locked raffles that may wait for longer. reqs is an empty slice with room for
// a batch, which is used again and again. before is closed once the batch that they follow is
// written; it is nil if they follow none. If they can't follow, write returns the calls that are
// left to write, otherwise none.
func (w *Writer) write(ctx context.Context, calls []call, reqs []raffle.EnterRequest,
	enter func(context.Context, []raffle.EnterRequest) ([]raffle.EnterResult, error), before <-chan struct{},
) []call {
	calls = slices.DeleteFunc(calls, givenUp)
	if len(calls) == 0 {
		return nil
	}
	if err := w.unavailable(); err != nil {
		w.fail(calls, 0, err)
		return nil
	}
	for i := range calls {
		reqs = append(reqs, calls[i].req)
	}
	ctx, cancel := w.timeout(ctx, before)
	defer cancel()
	ctx, end := w.trace(ctx, calls)
	start := time.Now()
	results, err := enter(ctx, reqs)
	duration := time.Since(start)
	if before != nil && errors.Is(err, raffle.ErrNotNext) {
		return calls
	}
	end(err)
	// Only its time-out ends a batch's context, whichever of these the store sees.
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		err = fmt.Errorf("%w: %w", raffle.ErrUnavailable, err)
	}
	w.failing.Store(errors.Is(err, raffle.ErrUnavailable))
	if err != nil {
		w.log(ctx, len(reqs), err)
		w.fail(calls, duration, err)
		return nil
	}
	w.complete(calls, results, duration)
	return nil
}

// complete reports the results of a batch, and completes its calls, except those that are
// held.
func (w *Writer) complete(calls []call, results []raffle.EnterResult, duration time.Duration) {
	for i := range results {
		if errors.Is(results[i].Err, raffle.ErrLocked) && calls[i].mayWait() {
			results[i].Err = errHeld
		}
	}
	if w.cfg.OnWritten != nil {
		w.cfg.OnWritten(outcome(results, duration))
	}
	if w.cfg.OnPlaced != nil {
		eachPlaced(results, w.cfg.OnPlaced)
	}
	for i := range calls {
		if errors.Is(results[i].Err, errHeld) {
			w.held.hold(calls[i])
		} else {
			calls[i].complete(&results[i])
		}
	}
	clear(calls) // so that the garbage collector can free what belongs to them
}

// givenUp completes a call whose context has ended, and reports whether it did.
func givenUp(c call) bool {
	if c.ctx.Err() == nil {
		return false
	}
	c.fail(context.Cause(c.ctx))
	return true
}

// unavailable returns an error if the database was unavailable for the last batch, and can't
// be used yet. A database that is only slow still writes batches, so its calls go on.
func (w *Writer) unavailable() error {
	if w.cfg.Available == nil || !w.failing.Load() {
		return nil
	}
	if err := w.cfg.Available(); err != nil {
		return fmt.Errorf("%w: %w", raffle.ErrUnavailable, err)
	}
	return nil
}

// fail completes all calls of a batch with an error, and clears them.
func (w *Writer) fail(calls []call, duration time.Duration, err error) {
	if w.cfg.OnWritten != nil {
		w.cfg.OnWritten(Outcome{Failed: len(calls), Duration: duration})
	}
	for i := range calls {
		calls[i].fail(err)
	}
	clear(calls)
}

// logInterval is the least time between two lines about batches that failed because the
// database is unavailable: without it, hundreds would fail in a second.
const logInterval = 10 * time.Second

// log logs that a batch failed.
func (w *Writer) log(ctx context.Context, entries int, err error) {
	write := func() {
		w.cfg.Log.ErrorContext(ctx, "a batch of entries failed", "entries", entries, "error", err)
	}
	if errors.Is(err, raffle.ErrUnavailable) {
		w.unavailableLog.Do(write)
	} else {
		write()
	}
}

// eachPlaced calls f with each raffle that has new entries, and how many in a row.
func eachPlaced(results []raffle.EnterResult, f func(raffleID int64, entries int)) {
	for i := 0; i < len(results); {
		id, placed := results[i].Entry.RaffleID, 0
		for ; i < len(results) && results[i].Entry.RaffleID == id; i++ {
			if results[i].Err == nil && !results[i].Replayed {
				placed++
			}
		}
		if placed > 0 {
			f(id, placed)
		}
	}
}

func isUnreadable(err error) bool {
	_, ok := errors.AsType[*raffle.UnreadableError](err)
	return ok
}

// outcome counts the results of a batch. Requests that are held will be counted when they
// have a result.
func outcome(results []raffle.EnterResult, duration time.Duration) Outcome {
	o := Outcome{Duration: duration}
	for i := range results {
		switch err := results[i].Err; {
		case err == nil && results[i].Replayed:
			o.Replayed++
		case err == nil:
			o.Placed++
		case errors.Is(err, errHeld):
		case errors.Is(err, raffle.ErrUnavailable), isUnreadable(err):
			o.Failed++
		default:
			o.Rejected++
		}
	}
	return o
}
