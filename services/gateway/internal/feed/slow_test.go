package feed

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/rafflecast/rafflecast/services/gateway/internal/odds"
)

// TestASlowConsumerFetchesTheNewest has a message dropped that nothing else would
// lead to: none comes after it, whose sequence would show a gap, and the stream's
// end is not looked at.
func TestASlowConsumerFetchesTheNewest(t *testing.T) {
	t.Parallel()
	const pending = 10
	w := setup(t)
	w.makeStream()
	w.feed.pendingMessages, w.feed.checkInterval = pending, time.Hour
	var once sync.Once
	busy, released := make(chan struct{}), make(chan struct{})
	release := sync.OnceFunc(func() { close(released) })
	w.feed.cfg.Out = func(u *odds.Update) {
		w.take(u)
		once.Do(func() { close(busy); <-released })
	}
	w.feed.cfg.Heard = func(u *odds.Update) {
		if u.RaffleID == 2 && u.Version == pending {
			t.Error("the last was heard, not dropped")
		}
	}
	slow := make(chan struct{})
	w.feed.cfg.Log = slog.New(reports{w.feed.cfg.Log.Handler(), nats.ErrSlowConsumer, slow})
	w.run()
	t.Cleanup(release) // or it could not end
	w.nextCause(Connected)

	w.publish(1, 1)
	wait(t, busy, "raffle 1 was not heard")
	for v := range int64(pending) { // with the one above one too many
		w.publish(2, v+1)
	}
	wait(t, slow, "the last was not dropped")
	release()
	w.waitFor(2, pending)
	w.nextCause(SlowConsumer)
}

// reports is a log handler that closes a channel once an error is logged.
type reports struct {
	slog.Handler

	of   error
	done chan struct{}
}

func (r reports) Handle(ctx context.Context, record slog.Record) error {
	record.Attrs(func(a slog.Attr) bool {
		if err, ok := a.Value.Any().(error); ok && errors.Is(err, r.of) {
			close(r.done)
		}
		return true
	})
	return r.Handler.Handle(ctx, record)
}
