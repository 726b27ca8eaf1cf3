// Package scheduler opens and closes raffles when the time for it has come, even if
// no call touches them. Every instance runs a scheduler; they do not hinder each other.
package scheduler

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"golang.org/x/time/rate"
)

// Store is the database.
type Store interface {
	// ApplySchedule opens and closes the raffles whose time has come, and returns how
	// many. It must be safe to call from several processes at once.
	ApplySchedule(ctx context.Context) (int, error)
}

const (
	// interval is how late a raffle opens or closes at most in the eyes of viewers.
	// Whether an entry is in time does not depend on it: that is decided by the clock
	// when the entry is written.
	interval = 500 * time.Millisecond
	// timeout bounds one pass.
	timeout = 10 * time.Second
	// logInterval is the least time between two lines about passes that failed.
	logInterval = 10 * time.Second
)

// Run applies the schedule every half second until ctx ends.
func Run(ctx context.Context, store Store, log *slog.Logger) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	failures := &rate.Sometimes{Interval: logInterval}
	for {
		select {
		case <-tick.C:
			apply(ctx, store, log, failures)
		case <-ctx.Done():
			return
		}
	}
}

func apply(ctx context.Context, store Store, log *slog.Logger, failures *rate.Sometimes) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	n, err := store.ApplySchedule(ctx)
	switch {
	case err == nil && n > 0:
		log.InfoContext(ctx, "raffles were opened or closed on time", "count", n)
	case err != nil && !errors.Is(context.Cause(ctx), context.Canceled): // canceled: the service is stopping
		failures.Do(func() {
			log.WarnContext(ctx, "raffles can't be opened and closed on time: will try again", "error", err)
		})
	}
}
