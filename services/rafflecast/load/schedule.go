package load

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/rafflecast/rafflecast/services/rafflecast/internal/ctxtime"
)

// schedule hands out request numbers, each when it is due. Safe for concurrent use.
type schedule struct {
	start    time.Time
	interval time.Duration // between two requests; 0: as soon as they are asked for
	count    int64         // 0: unbounded
	end      time.Time     // zero: unbounded
	next     atomic.Int64
	stopped  atomic.Bool
}

func newSchedule(rate, count int, duration time.Duration) *schedule {
	s := &schedule{start: time.Now(), count: int64(count)}
	if rate > 0 {
		s.interval = time.Second / time.Duration(rate)
	}
	if duration > 0 {
		s.end = s.start.Add(duration)
	}
	return s
}

// stop ends the schedule: no more numbers are handed out.
func (s *schedule) stop() { s.stopped.Store(true) }

// take waits until the next request is due, and returns its number and the time at
// which it was due, which is in the past if no sender was free then. ok is false if
// there are no more requests.
func (s *schedule) take(ctx context.Context) (n int64, due time.Time, ok bool) {
	n = s.next.Add(1) - 1
	if s.count > 0 && n >= s.count || ctx.Err() != nil || s.stopped.Load() {
		return 0, due, false
	}
	if s.interval > 0 {
		due = s.start.Add(time.Duration(n) * s.interval)
	} else {
		due = time.Now()
	}
	if !s.end.IsZero() && !due.Before(s.end) {
		return 0, due, false
	}
	return n, due, s.interval == 0 || ctxtime.Sleep(ctx, time.Until(due)) && !s.stopped.Load()
}
