package feed

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/rafflecast/rafflecast/services/internal/oddsstream"
)

const (
	// checkInterval is how often the stream's end is compared with what was
	// heard: the last message of a burst has no successor that would show a gap.
	checkInterval = time.Second
	// A snapshot that failed is tried again after retryFirst, then after twice as
	// long each time, up to retryLast: at the first start the stream often comes
	// a moment later.
	retryFirst = 100 * time.Millisecond
	retryLast  = time.Second
	// requestTimeout bounds each exchange with the server.
	requestTimeout = 5 * time.Second
)

// follow takes snapshots, when they are wanted and when the stream's end was not
// heard, until ctx ends.
func (f *Feed) follow(ctx context.Context, js jetstream.JetStream) {
	tick := time.NewTicker(f.checkInterval)
	defer tick.Stop()
	again := time.NewTimer(0)
	defer again.Stop()
	again.Stop()
	var (
		seen    position // the stream's end at the check before
		cause   Cause
		delay   = retryFirst
		failure failure
	)
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			f.exchange(ctx, func(ctx context.Context) { seen = f.check(ctx, js, seen) })
			continue
		case cause = <-f.wanted:
		case <-again.C: // for the same cause
		}
		var err error
		f.exchange(ctx, func(ctx context.Context) { err = f.snapshot(ctx, js) })
		if err != nil {
			failure.log(ctx, f.cfg.Log, cause, err)
			again.Reset(delay)
			delay = min(2*delay, retryLast)
			continue
		}
		again.Stop()
		delay, failure.last = retryFirst, ""
		f.cfg.Log.Info("odds: took a snapshot", "cause", cause, "raffles", f.Size())
		if f.cfg.Snapshot != nil {
			f.cfg.Snapshot(cause)
		}
	}
}

// exchange asks the server something that a reconnect ends.
func (f *Feed) exchange(ctx context.Context, ask func(context.Context)) {
	ctx, giveUp := context.WithCancel(ctx)
	defer giveUp()
	f.giveUp.Store(&giveUp)
	ask(ctx)
}

// check asks for a snapshot where the stream is another one, is shorter than
// what was heard, or had an end at the check before that is not heard even now.
// It returns the stream's end.
func (f *Feed) check(ctx context.Context, js jetstream.JetStream, before position) position {
	heardBefore := f.heard()
	now, err := f.end(ctx, js)
	if err != nil {
		return before // NATS is away, which the connection reports
	}
	heard := f.heard()
	switch {
	case !now.created.Equal(heard.created):
		f.want(AnotherStream)
	case now.sequence < heardBefore.sequence:
		f.mu.Lock()
		f.position.sequence = now.sequence
		f.mu.Unlock()
		f.want(ShorterStream)
	case before.created.Equal(now.created) && before.sequence > heard.sequence:
		f.want(UnheardTail)
	}
	return now
}

func (f *Feed) heard() position {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.position
}

func (f *Feed) end(ctx context.Context, js jetstream.JetStream) (position, error) {
	ctx, cancel := context.WithTimeout(ctx, f.requestTimeout)
	defer cancel()
	stream, err := js.Stream(ctx, oddsstream.Name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return position{}, errNoStream
	}
	if err != nil {
		return position{}, fmt.Errorf("look at stream %s: %w", oddsstream.Name, err)
	}
	info := stream.CachedInfo()
	return position{info.Created, info.State.LastSeq}, nil
}
