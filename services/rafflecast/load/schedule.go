package load

import (
	"context"
	"sync/atomic"
	"time"
)

// schedule gives out request numbers, each when its time has come. Safe for
// concurrent use.
type schedule struct {
	start time.Time
	every time.Duration // between two requests; 0: as soon as asked
	count int64         // 0: no bound
	end   time.Time     // zero: no bound
	next  atomic.Int64
	ended atomic.Bool
}

// stop ends it: nothing more is given out.
func (s *schedule) stop() { s.ended.Store(true) }

func newSchedule(rate, count int, duration time.Duration) *schedule {
	s := &schedule{start: time.Now(), count: int64(count)}
	if rate > 0 {
		s.every = time.Second / time.Duration(rate)
	}
	if duration > 0 {
		s.end = s.start.Add(duration)
	}
	return s
}

// take returns the next request's number once it is time to send it, and when
// that was, which lies in the past where nobody came to take it in time. It
// returns false when there are no more.
func (s *schedule) take(ctx context.Context) (n int64, intended time.Time, ok bool) {
	n = s.next.Add(1) - 1
	if s.count > 0 && n >= s.count || ctx.Err() != nil || s.ended.Load() {
		return 0, intended, false
	}
	if s.every > 0 {
		intended = s.start.Add(time.Duration(n) * s.every)
	} else {
		intended = time.Now()
	}
	if !s.end.IsZero() && !intended.Before(s.end) {
		return 0, intended, false
	}
	return n, intended, s.every == 0 || sleep(ctx, time.Until(intended)) && !s.ended.Load()
}

// sleep waits, and tells whether ctx allowed it.
func sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
