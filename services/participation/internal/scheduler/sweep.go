// Package scheduler does what no call does: it opens and closes raffles when their
// time comes, publishes what a crash left unpublished, and notes what is
// published. Every instance sweeps; they don't get in each other's way.
package scheduler

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/rafflecast/rafflecast/services/participation/internal/raffle"
)

// Store is the part of the database that a sweep works on.
type Store interface {
	Advance(ctx context.Context) (int, error)
	Unpublished(ctx context.Context, age time.Duration) ([]raffle.Odds, error)
	MarkPublished(ctx context.Context, versions map[int64]int64) error
}

// Publisher takes odds, and tells which it has published.
type Publisher interface {
	Publish(ctx context.Context, odds ...raffle.Odds)
	TakePublished() map[int64]int64
}

const (
	// interval and age add up to less than the 2 s within which what a crash left
	// behind is published.
	interval = 500 * time.Millisecond
	age      = time.Second
	// timeout bounds one sweep.
	timeout = 10 * time.Second
)

// Run sweeps until ctx ends, then notes once more what is published.
func Run(ctx context.Context, store Store, pub Publisher, log *slog.Logger) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			once(ctx, store, pub, log)
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
			defer cancel()
			mark(last, store, pub, log)
			return
		}
	}
}

func once(ctx context.Context, store Store, pub Publisher, log *slog.Logger) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if n, err := store.Advance(ctx); err != nil {
		warn(ctx, log, "open and close raffles", err)
	} else if n > 0 {
		log.Info("raffles opened or closed by the clock", "count", n)
	}
	mark(ctx, store, pub, log)
	odds, err := store.Unpublished(ctx, age)
	if err != nil {
		warn(ctx, log, "find unpublished odds", err)
	}
	pub.Publish(ctx, odds...)
}

// mark notes what was published. What fails to be noted is found by
// Unpublished, offered again, and noted then.
func mark(ctx context.Context, store Store, pub Publisher, log *slog.Logger) {
	if err := store.MarkPublished(ctx, pub.TakePublished()); err != nil {
		warn(ctx, log, "note published odds", err)
	}
}

func warn(ctx context.Context, log *slog.Logger, what string, err error) {
	if errors.Is(context.Cause(ctx), context.Canceled) {
		return // stopping
	}
	log.Warn("sweep: "+what, "error", err)
}
