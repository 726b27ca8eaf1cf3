package feed

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/synadia-io/orbit.go/jetstreamext"

	"github.com/rafflecast/rafflecast/services/gateway/internal/odds"
	"github.com/rafflecast/rafflecast/services/internal/oddsstream"
)

const (
	// backfillTimeout bounds a backfill: a client waits for its first event meanwhile.
	backfillTimeout = 2 * time.Second

	// maxBackfill bounds the messages of a backfill. It is above what the stream keeps
	// of a raffle, since more may be stored while they are read.
	maxBackfill = 2 * oddsstream.MessagesPerSubject
)

// Backfill adds to the cache what the stream still holds of a raffle: an instance
// that has just started knows only the newest odds. It reads the stream once,
// however many callers want the same at the same time. If NATS is unavailable it
// returns at once, and nothing is added.
func (f *Feed) Backfill(ctx context.Context, raffleID int64) {
	// Without a connection GetBatch would fail, too, and leave a subscription behind.
	if !f.Connected() {
		return
	}
	result := f.backfills.DoChan(strconv.FormatInt(raffleID, 10), func() (any, error) {
		// Not cancelled with ctx, since other callers may wait as well.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), backfillTimeout)
		defer cancel()
		return nil, f.backfill(ctx, raffleID)
	})
	select {
	case r := <-result:
		if r.Err != nil {
			f.failedBackfills.Do(func() {
				f.cfg.Log.Warn("odds: cannot read a raffle's recent updates from the stream", "raffle", raffleID, "error", r.Err)
			})
		}
	case <-ctx.Done():
	}
}

func (f *Feed) backfill(ctx context.Context, raffleID int64) error {
	if f.cfg.Cache.Backfilled(raffleID) { // perhaps by a call that ended just now
		return nil
	}
	stored, err := f.readStored(ctx, raffleID)
	if err != nil {
		return err
	}
	f.cfg.Cache.Backfill(raffleID, stored)
	return nil
}

// readStored returns what the stream holds of a raffle, in order, by one batched
// Direct Get (ADR-31 of github.com/nats-io/nats-architecture-and-design). Any
// replica answers it.
func (f *Feed) readStored(ctx context.Context, raffleID int64) (stored []*odds.Update, err error) {
	messages, err := jetstreamext.GetBatch(ctx, f.js, f.cfg.Names.Stream(), maxBackfill,
		jetstreamext.GetBatchSubject(f.cfg.Names.Subject(raffleID)))
	if err != nil {
		return nil, fmt.Errorf("request messages: %w", err)
	}
	for msg, err := range messages {
		if errors.Is(err, jetstreamext.ErrNoMessages) {
			return nil, nil
		} else if err != nil {
			return nil, fmt.Errorf("read messages: %w", err)
		}
		u, err := odds.Decode(msg.Data)
		if err != nil || u.RaffleID != raffleID {
			continue // as when it was received
		}
		switch n := len(stored); {
		case n > 0 && u.Epoch != stored[n-1].Epoch: // another life
			stored = []*odds.Update{u}
		case n == 0 || u.Version > stored[n-1].Version:
			stored = append(stored, u)
		}
	}
	if err := ctx.Err(); err != nil { // else a batch that was cut off would look complete
		return nil, fmt.Errorf("read messages: %w", err)
	}
	return stored, nil
}
