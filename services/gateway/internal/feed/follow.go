package feed

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"golang.org/x/time/rate"

	"github.com/rafflecast/rafflecast/services/internal/natsconn"
)

const (
	// checkInterval is how often the stream's end is compared with what was received:
	// if the last message of a burst is lost, none follows whose sequence shows it.
	checkInterval = time.Second
	// A snapshot that failed is retried after retryFirst, then after twice as long
	// each time, up to retryLast: at the first start the stream is often created a
	// moment later.
	retryFirst = 100 * time.Millisecond
	retryLast  = time.Second
	// requestTimeout bounds each request to the server.
	requestTimeout = 5 * time.Second
)

// follow takes snapshots when they are requested, and checks the stream's end once a
// second, until ctx ends.
func (f *Feed) follow(ctx context.Context) {
	tick := time.NewTicker(f.checkInterval)
	defer tick.Stop()
	retry := time.NewTimer(0)
	defer retry.Stop()
	retry.Stop()
	var (
		cause    Cause
		delay    = retryFirst
		failures = newFailures(f.cfg.Log)
		checks   = &checks{feed: f, leaver: natsconn.NewLeaver(f.nc, f.patience, f.cfg.Log)}
	)
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			f.request(ctx, checks.check)
			continue
		case cause = <-f.resync:
		case <-retry.C: // for the same cause
		}
		var absent int
		var err error
		f.request(ctx, func(ctx context.Context) { absent, err = f.snapshot(ctx) })
		if err != nil {
			if ctx.Err() == nil {
				failures.log(cause, err)
			}
			retry.Reset(delay)
			delay = min(2*delay, retryLast)
			continue
		}
		retry.Stop()
		delay, failures = retryFirst, newFailures(f.cfg.Log)
		checks.snapshotTaken(absent)
		f.cfg.Log.Info("odds: took a snapshot", "cause", cause, "raffles", f.cfg.Cache.Len())
		if f.cfg.SnapshotTaken != nil {
			f.cfg.SnapshotTaken(cause)
		}
	}
}

// request calls send with a context that a reconnect cancels.
func (f *Feed) request(ctx context.Context, send func(context.Context)) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	f.mu.Lock()
	f.cancelInFlight = cancel
	f.mu.Unlock()
	send(ctx)
}

func (f *Feed) received() position {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.position
}

// failures logs why snapshots fail: at once, and then at most once a minute, however
// often they are retried.
type failures struct {
	logger          *slog.Logger
	noStream, other rate.Sometimes
}

func newFailures(logger *slog.Logger) *failures {
	return &failures{
		logger:   logger,
		noStream: rate.Sometimes{Interval: logInterval}, other: rate.Sometimes{Interval: logInterval},
	}
}

func (f *failures) log(cause Cause, err error) {
	if errors.Is(err, errNoStream) {
		f.noStream.Do(func() { f.logger.Info("odds: waiting for the stream", "cause", cause, "error", err) })
		return
	}
	f.other.Do(func() { f.logger.Warn("odds: cannot take a snapshot; retrying", "cause", cause, "error", err) })
}
