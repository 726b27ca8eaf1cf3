package faults

import (
	"context"
	"sync"
	"time"
)

// lateness measures how late this process itself is: a machine that is busy with
// something else delays the judge as well as the judged, and what is later than
// allowed by no more than that is not the system's fault.
type lateness struct {
	mu     sync.Mutex
	late   []delay // only those worth a note, oldest first
	newest time.Time
}

// delay is a time at which this process woke up too late.
type delay struct {
	at time.Time
	by time.Duration
}

const (
	latenessTick = 20 * time.Millisecond
	worthANote   = 30 * time.Millisecond
)

// run measures until ctx ends.
func (l *lateness) run(ctx context.Context) {
	l.note(time.Now(), 0)
	for ctx.Err() == nil {
		began := time.Now()
		pause(ctx, latenessTick)
		now := time.Now()
		l.note(now, now.Sub(began)-latenessTick)
	}
}

func (l *lateness) note(now time.Time, by time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.newest = now
	if by >= worthANote {
		l.late = append(l.late, delay{now, by})
	}
}

// since returns the sum of the delays since a time: how much longer than on an
// idle machine everything may have taken.
func (l *lateness) since(t time.Time) (sum time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := len(l.late) - 1; i >= 0 && l.late[i].at.After(t); i-- {
		sum += l.late[i].by
	}
	// A delay that lasts is not noted yet.
	if lasting := time.Since(l.newest) - latenessTick; !l.newest.IsZero() && lasting >= worthANote {
		sum += lasting
	}
	return sum
}

// worst returns the longest delay of all.
func (l *lateness) worst() (by time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, d := range l.late {
		by = max(by, d.by)
	}
	return by
}
