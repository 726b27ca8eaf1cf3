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
)

// fakeStore is a Store that records when it was called.
type fakeStore struct {
	mu    sync.Mutex
	calls []time.Time
	hangs bool
	err   error
}

func (s *fakeStore) ApplySchedule(ctx context.Context) (int, error) {
	s.mu.Lock()
	s.calls = append(s.calls, time.Now())
	hangs, err := s.hangs, s.err
	s.mu.Unlock()
	if hangs {
		<-ctx.Done()
		return 0, ctx.Err()
	}
	return len(s.calls) % 2, err
}

// run runs a scheduler for some time, and returns how often it called the store, and
// what it logged.
func run(t *testing.T, s *fakeStore, d time.Duration) (calls int, logged string) {
	t.Helper()
	var log bytes.Buffer
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	Run(ctx, s, slog.New(slog.NewTextHandler(&log, nil)))
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
		Run(ctx, s, slog.New(slog.NewTextHandler(&log, nil)))
		if took := time.Since(began); took != interval+timeout+interval/2 || len(s.calls) != 2 {
			t.Errorf("stopped after %v and %d calls", took, len(s.calls))
		}
		if strings.Count(log.String(), "level=WARN") != 1 { // the second was stopped
			t.Errorf("logged:\n%s", log.String())
		}
	})
}
