package outbox

import (
	"context"
	"fmt"
	"time"

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
)

// reconciler mends the difference between the stream and the database.
type reconciler struct {
	queue  *Queue
	stream Stream
	source Source
	cfg    Config
	known  State // of the stream, as of the last comparison
}

// run makes the stream, compares it with the database, and does so again whenever
// the two may have drifted apart, until ctx ends. A comparison that fails is repeated.
func (r *reconciler) run(ctx context.Context, reconnected <-chan struct{}) {
	check := time.NewTicker(checkInterval)
	defer check.Stop()
	interval := time.NewTicker(reconcileInterval)
	defer interval.Stop()
	cause := "start"
	for {
		if cause != "" {
			if err := r.reconcile(ctx); err == nil {
				r.cfg.Log.Info("the stream of odds was compared with the database", "cause", cause)
				cause = ""
			} else if ctx.Err() == nil {
				r.cfg.Log.Warn("the stream of odds can't be compared with the database: will try again",
					"cause", cause, "error", err)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-reconnected:
			cause = "reconnected"
		case <-interval.C:
			cause = "interval"
		case <-check.C:
			if cause == "" {
				cause = r.driftCause(ctx)
			}
		}
	}
}

// driftCause returns why the stream may lack what was acknowledged, or "".
func (r *reconciler) driftCause(ctx context.Context) string {
	now, err := r.stream.State(ctx)
	switch {
	case err != nil:
		return "" // NATS is unavailable, and will reconnect
	case !now.Created.Equal(r.known.Created):
		return "another stream"
	case now.Last < max(r.known.Last, r.queue.lastSeq()):
		return "shorter stream"
	}
	return ""
}

// reconcile compares every raffle in the database with the stream.
func (r *reconciler) reconcile(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, reconcileTimeout)
	defer cancel()
	if err := r.stream.Ensure(ctx); err != nil {
		return err
	}
	// What is acknowledged from here on may be lost again without this comparison
	// noticing it, so driftCause must know of it.
	r.queue.resetLastSeq()
	state, err := r.stream.State(ctx)
	if err != nil {
		return err
	}
	// The stream is read before the database, because a version is in the database
	// before it is in the stream: what is higher in the stream then is a difference.
	versions, err := r.stream.Versions(ctx)
	if err != nil {
		return err
	}
	for after := int64(0); ; {
		page, err := r.source.List(ctx, after, reconcilePage, 0)
		if err != nil {
			return fmt.Errorf("read raffles: %w", err)
		}
		for i := range page {
			if err := r.compare(ctx, &page[i], versions[page[i].ID]); err != nil {
				return err
			}
		}
		if len(page) < reconcilePage {
			break
		}
		after = page[len(page)-1].ID
	}
	r.known = state
	return nil
}

// compare mends the difference of one raffle. If the stream is ahead, the database
// was restored or has lost commits. What the database holds is the truth, but gateways
// refuse lower versions than they know, so its version is bumped above the stream's.
func (r *reconciler) compare(ctx context.Context, current *raffle.Raffle, inStream int64) error {
	switch {
	case inStream > current.Version:
		r.cfg.Log.Warn("the stream is ahead of the database, which was restored or has lost commits: "+
			"bumping the raffle's version", "raffle", current.ID, "database", current.Version, "stream", inStream)
		if err := r.source.BumpVersion(ctx, current.ID, inStream); err != nil {
			return fmt.Errorf("bump version: %w", err)
		}
		r.cfg.OnBumped()
	case inStream < current.Version:
		r.queue.republish(*current)
	}
	return nil
}
