// Package scheduler opens and closes raffles when the time for it has come, even if
// no call touches them. Every instance runs a scheduler; they do not hinder each other.
package scheduler

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/rafflecast/rafflecast/services/participation/internal/raffle"
)

// Store is the database.
type Store interface {
	// ApplySchedule opens and closes the raffles whose time has come, and returns how
	// many, and those that can't be closed now. It must be safe to call from several
	// processes at once.
	ApplySchedule(ctx context.Context) (int, []*raffle.ClosingError, error)
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

// Scheduler applies the schedule. Make it with New.
type Scheduler struct {
	store Store
	log   *slog.Logger
	// onRefused is called in each pass for each raffle that can't be closed.
	onRefused func(*raffle.ClosingError)
	failures  *rate.Sometimes
	due       atomic.Int64 // when the longest overdue raffle should have closed, in Unix nanoseconds; 0: none should have
}

// New returns a scheduler. onRefused is called in each pass for each raffle that can't be
// closed.
func New(store Store, log *slog.Logger, onRefused func(*raffle.ClosingError)) *Scheduler {
	return &Scheduler{store: store, log: log, onRefused: onRefused, failures: &rate.Sometimes{Interval: logInterval}}
}

// Run applies the schedule every half second until ctx ends.
func (s *Scheduler) Run(ctx context.Context) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			s.apply(ctx)
		case <-ctx.Done():
			return
		}
	}
}

func (s *Scheduler) apply(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	n, refused, err := s.store.ApplySchedule(ctx)
	if n > 0 {
		s.log.InfoContext(ctx, "raffles were opened or closed on time", "count", n)
	}
	if err == nil {
		s.note(refused)
		if len(refused) > 0 {
			err = refused[0]
		}
	}
	if err != nil && !errors.Is(context.Cause(ctx), context.Canceled) { // canceled: the service is stopping
		s.failures.Do(func() {
			s.log.WarnContext(ctx, "raffles can't be opened and closed on time: will try again", "error", err, "waiting", len(refused))
		})
	}
}

// note notes the raffles that can't be closed.
func (s *Scheduler) note(refused []*raffle.ClosingError) {
	due := int64(0)
	for _, r := range refused {
		if at := r.ClosesAt.UnixNano(); due == 0 || at < due {
			due = at
		}
		s.onRefused(r)
	}
	s.due.Store(due)
}

// Overdue returns for how long the raffle has waited that should have closed first, by
// the service's own clock; 0 if none waited in the last pass.
func (s *Scheduler) Overdue() time.Duration {
	due := s.due.Load()
	if due == 0 {
		return 0
	}
	return max(0, time.Since(time.Unix(0, due)))
}
