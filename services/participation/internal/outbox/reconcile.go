package outbox

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/rafflecast/rafflecast/services/participation/internal/raffle"
)

const (
	// checkInterval is how often the stream's state is compared with what was
	// acknowledged, which takes one request.
	checkInterval = time.Second
	// reconcileInterval is how often the whole stream is compared with the database
	// without a sign of drift; 10,000 raffles take 0.1 s.
	reconcileInterval = 10 * time.Minute
	// reconcileTimeout bounds one comparison.
	reconcileTimeout = 5 * time.Minute
	// reconcilePage is how many raffles are read from the database at once.
	reconcilePage = 1000
	// fillInterval is how often it is checked whether the stream is filled.
	fillInterval = 20 * time.Millisecond
	// foreignLogInterval is the least time between two log lines about a stream of
	// another database.
	foreignLogInterval = time.Minute
)

// reconciler mends the difference between the stream and the database.
type reconciler struct {
	*mender // of a single raffle

	known      State         // of the stream, as of the last check
	counted    counted       // the messages of each raffle, when they were counted last
	identified chan struct{} // closed once it is known which database answers
	life       atomic.Int64  // of the database: see raffle.Comparison
	restored   chan struct{} // capacity 1: the database is another one, or another state of it
	foreignLog rate.Sometimes
}

func newReconciler(m *mender) *reconciler {
	return &reconciler{
		mender: m, identified: make(chan struct{}), restored: make(chan struct{}, 1),
		foreignLog: rate.Sometimes{Interval: foreignLogInterval},
	}
}

// run makes the stream, compares it with the database, and does so again whenever
// the two may have drifted apart, until ctx ends. A comparison that fails is repeated.
func (r *reconciler) run(ctx context.Context, reconnected <-chan struct{}) {
	check := time.NewTicker(checkInterval)
	defer check.Stop()
	interval := time.NewTicker(reconcileInterval)
	defer interval.Stop()
	cause := "start"
	select {
	case <-r.identified:
	case <-ctx.Done():
		return
	}
	for {
		if cause != "" {
			err := r.reconcile(ctx)
			r.report(ctx, cause, err)
			if err == nil {
				cause = ""
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-reconnected:
			cause = "reconnected"
			// It may be another cluster.
			r.queue.forgetPublished()
		case <-r.restored:
			cause = "database restored or failed over"
		case <-interval.C:
			cause = "interval"
		case <-check.C:
			if cause == "" {
				cause = r.driftCause(ctx)
			}
		}
	}
}

// report logs the outcome of a comparison.
func (r *reconciler) report(ctx context.Context, cause string, err error) {
	if ctx.Err() != nil {
		return // the service is stopping
	}
	_, foreign := errors.AsType[*ForeignStreamError](err)
	switch {
	case err == nil:
		r.cfg.Log.Info("the stream of odds was compared with the database", "cause", cause)
	case foreign:
		r.foreignLog.Do(func() {
			r.cfg.Log.Error("odds are not published, because the stream of odds belongs to another database", "error", err)
		})
	default:
		r.cfg.Log.Warn("the stream of odds can't be compared with the database: will try again", "cause", cause, "error", err)
	}
}

// reconcile compares every raffle in the database with the stream, and every one in
// the stream with the database.
func (r *reconciler) reconcile(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, reconcileTimeout)
	defer cancel()
	life := r.life.Load()
	if err := r.stream.Ensure(ctx); err != nil {
		return err
	}
	// What is acknowledged from here on may be lost again without this comparison
	// noticing it, so driftCause must know of it.
	r.queue.resetLastSeq()
	state, counts, err := r.stream.Counts(ctx)
	if err != nil {
		return err
	}
	if !state.Created.Equal(r.known.Created) || state.Subjects < r.queue.knownInStream() {
		r.queue.forgetPublished() // the stream has lost it, or the sequences are another stream's
	}
	// The stream is read before the database, because a version is in the database
	// before it is in the stream: what is higher in the stream then is a difference.
	newest, err := r.stream.Newest(ctx)
	if err != nil {
		return err
	}
	if err := r.skipIDs(ctx, newest); err != nil {
		return err
	}
	missing, absent, err := r.compareAll(ctx, newest)
	if err != nil {
		return err
	}
	for id, last := range newest { // those that the database does not have
		if last.Removed {
			continue
		}
		if err := r.mend(ctx, id); err != nil && !errors.Is(err, ErrConflict) {
			return err
		}
	}
	// No log continues one that it contradicts any more.
	r.cfg.Comparison.Compared(int(life))
	if err := r.awaitFilled(ctx, missing); err != nil {
		return err
	}
	if !state.Reconciled {
		if err := r.stream.MarkReconciled(ctx, state.Created); err != nil {
			return err
		}
	}
	r.known, r.counted = state, counted{state.Last, counts}
	r.known.Subjects += absent
	r.known.Messages += absent
	return nil
}

// skipIDs gives new raffles other ids than those of raffles in the stream that have a log:
// if the database has lost such a raffle, another one would get its id, and its log the
// name of the lost one.
func (r *reconciler) skipIDs(ctx context.Context, newest map[int64]Message) error {
	highest := int64(0)
	for id, last := range newest {
		if last.Log.Size > 0 {
			highest = max(highest, id)
		}
	}
	if highest == 0 {
		return nil
	}
	if err := r.source.SkipIDs(ctx, highest); err != nil {
		return fmt.Errorf("skip the ids of raffles that are lost: %w", err)
	}
	return nil
}

// compareAll compares every raffle in the database with its last message, and removes
// that from newest. It returns the versions that the stream lacks and that are enqueued,
// and how many of these are of raffles that had no message.
func (r *reconciler) compareAll(ctx context.Context, newest map[int64]Message) (missing map[int64]raffle.Published, absent uint64, err error) {
	missing = make(map[int64]raffle.Published)
	for after := int64(0); ; {
		page, err := r.source.List(ctx, after, reconcilePage, 0)
		if err != nil {
			return nil, 0, fmt.Errorf("read raffles: %w", err)
		}
		for i := range page {
			current := &page[i]
			last := newest[current.ID]
			republished, err := r.compare(ctx, current, last)
			if err != nil {
				return nil, 0, err
			}
			if republished {
				if last.Seq == 0 {
					absent++
				}
				missing[current.ID] = raffle.Published{Epoch: current.Epoch, Version: current.Version}
			}
			delete(newest, current.ID)
		}
		if len(page) < reconcilePage {
			return missing, absent, nil
		}
		after = page[len(page)-1].ID
	}
}

// awaitFilled waits until the stream has all that was missing.
func (r *reconciler) awaitFilled(ctx context.Context, missing map[int64]raffle.Published) error {
	poll := time.NewTicker(fillInterval)
	defer poll.Stop()
	for r.queue.removePublished(missing); len(missing) > 0; r.queue.removePublished(missing) {
		select {
		case <-poll.C:
		case <-ctx.Done():
			return fmt.Errorf("fill the stream: %w", ctx.Err())
		}
	}
	return nil
}
