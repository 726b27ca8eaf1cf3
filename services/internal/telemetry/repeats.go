package telemetry

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// Within repeatPeriod, at most maxRepeats records of the same message are logged.
const (
	repeatPeriod = 10 * time.Second
	maxRepeats   = 5
	maxMessages  = 1024 // that are told apart; messages are constants
)

// LimitRepeats returns a handler that drops warnings and errors whose message has been
// logged five times within ten seconds: while a database is unavailable, each batch of
// entries fails, and each says so. The next record of the message that is logged has
// the field dropped, with their number. Lower levels pass.
func LimitRepeats(next slog.Handler) slog.Handler {
	return repeatLimiter{next, &repeats{messages: make(map[string]*repeated)}}
}

type repeatLimiter struct {
	next    slog.Handler
	repeats *repeats
}

// repeats counts records by message. Safe for concurrent use.
type repeats struct {
	mu       sync.Mutex
	messages map[string]*repeated
}

type repeated struct {
	since   time.Time // when the period began
	logged  int       // in this period
	dropped int       // since one was logged
}

// take reports whether a record may be logged, and how many before it were dropped.
func (r *repeats) take(message string, now time.Time) (dropped int, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	m := r.messages[message]
	if m == nil {
		if len(r.messages) == maxMessages {
			clear(r.messages)
		}
		m = &repeated{since: now}
		r.messages[message] = m
	}
	if now.Sub(m.since) >= repeatPeriod {
		m.since, m.logged = now, 0
	}
	if m.logged == maxRepeats {
		m.dropped++
		return 0, false
	}
	m.logged++
	dropped, m.dropped = m.dropped, 0
	return dropped, true
}

// Enabled implements slog.Handler.
func (h repeatLimiter) Enabled(ctx context.Context, level slog.Level) bool {
	return h.next.Enabled(ctx, level)
}

// Handle implements slog.Handler.
func (h repeatLimiter) Handle(ctx context.Context, r slog.Record) error {
	if r.Level >= slog.LevelWarn {
		dropped, ok := h.repeats.take(r.Message, r.Time)
		if !ok {
			return nil
		}
		if dropped > 0 {
			r.AddAttrs(slog.Int("dropped", dropped))
		}
	}
	return h.next.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (h repeatLimiter) WithAttrs(attrs []slog.Attr) slog.Handler {
	return repeatLimiter{h.next.WithAttrs(attrs), h.repeats}
}

// WithGroup implements slog.Handler.
func (h repeatLimiter) WithGroup(name string) slog.Handler {
	return repeatLimiter{h.next.WithGroup(name), h.repeats}
}
