package scheduler

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rafflecast/rafflecast/services/participation/internal/raffle"
)

// fakeStore is a Store that records when it was called.
type fakeStore struct {
	mu    sync.Mutex
	calls []time.Time
	hangs bool
	err   error

	refused  []*raffle.ClosingError // by the next passes
	refusals int                    // how many
}

func (s *fakeStore) ApplySchedule(ctx context.Context) (int, []*raffle.ClosingError, error) {
	s.mu.Lock()
	s.calls = append(s.calls, time.Now())
	hangs, err, refused := s.hangs, s.err, s.refused
	if s.refusals > 0 {
		s.refusals--
	} else {
		refused = nil
	}
	s.mu.Unlock()
	if hangs {
		<-ctx.Done()
		return 0, nil, ctx.Err()
	}
	return len(s.calls) % 2, refused, err
}

// run runs a scheduler for some time, and returns how often it called the store, and
// what it logged.
func run(t *testing.T, s *fakeStore, d time.Duration) (calls int, logged string) {
	t.Helper()
	var log bytes.Buffer
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	New(s, slog.New(slog.NewTextHandler(&log, nil)), func(*raffle.ClosingError) {}).Run(ctx)
	return len(s.calls), log.String()
}

func TestRun_AppliesTheScheduleTwiceASecond(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		calls, logged := run(t, &fakeStore{}, 10*time.Second+interval/2)
		if calls != 20 || strings.Count(logged, "level=INFO") != 10 || strings.Contains(logged, "level=WARN") {
			t.Errorf("%d calls; logged:\n%s", calls, logged)
		}
	})
}

func TestRun_TriesAgainAfterAnError(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		// It says so at once, and not at each of the many passes.
		calls, logged := run(t, &fakeStore{err: errors.New("the database is unavailable")}, logInterval+interval+interval/2)
		if calls != 21 || strings.Count(logged, "the database is unavailable") != 2 {
			t.Errorf("%d calls; logged:\n%s", calls, logged)
		}
	})
}

func TestRun_BoundsAPassAndStopsWithinOne(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		ctx, stop := context.WithCancel(t.Context())
		time.AfterFunc(interval+timeout+interval/2, stop)
		var log bytes.Buffer
		s := &fakeStore{hangs: true}
		New(s, slog.New(slog.NewTextHandler(&log, nil)), func(*raffle.ClosingError) {}).Run(ctx)
		if took := time.Since(began); took != interval+timeout+interval/2 || len(s.calls) != 2 {
			t.Errorf("stopped after %v and %d calls", took, len(s.calls))
		}
		if strings.Count(log.String(), "level=WARN") != 1 { // the second was stopped
			t.Errorf("logged:\n%s", log.String())
		}
	})
}

// A raffle that can't be closed is counted in each pass, and it is known for how long the
// first has waited.
func TestScheduler_CountsRafflesThatCannotBeClosed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const passes = 4
		due := time.Now()
		store := &fakeStore{refusals: passes, refused: []*raffle.ClosingError{
			{RaffleID: 2, ClosesAt: due.Add(time.Second), Cause: raffle.ErrDrawsOff}, {RaffleID: 1, ClosesAt: due, Cause: raffle.ErrDrawsOff},
		}}
		var counted int
		s := New(store, slog.New(slog.DiscardHandler), func(e *raffle.ClosingError) {
			if errors.Is(e, raffle.ErrDrawsOff) {
				counted++
			}
		})
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		go s.Run(ctx)
		time.Sleep(passes*interval + interval/2)
		synctest.Wait()
		if overdue := s.Overdue(); counted != 2*passes || overdue != passes*interval+interval/2 {
			t.Errorf("counted %d, overdue for %v", counted, overdue)
		}
		time.Sleep(interval) // they are closed
		synctest.Wait()
		if overdue := s.Overdue(); counted != 2*passes || overdue != 0 {
			t.Errorf("counted %d, overdue for %v", counted, overdue)
		}
	})
}
