package feed

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

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
	if !f.Connected() {
		return // the request would fail, and be logged
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

// readStored returns what the stream holds of a raffle, in order.
func (f *Feed) readStored(ctx context.Context, raffleID int64) (stored []*odds.Update, err error) {
	err = f.getBatch(ctx, f.cfg.Names.Subject(raffleID), func(data []byte) {
		u, err := odds.Decode(data)
		if err != nil || u.RaffleID != raffleID {
			return // as when it was received
		}
		switch n := len(stored); {
		case n > 0 && u.Epoch != stored[n-1].Epoch: // another life
			stored = []*odds.Update{u}
		case n == 0 || u.Version > stored[n-1].Version:
			stored = append(stored, u)
		}
	})
	return stored, err
}

// getBatch calls take with the messages of a subject, in order, by one batched Direct
// Get (ADR-31 of github.com/nats-io/nats-architecture-and-design). Any replica answers
// it.
//
// jetstreamext of github.com/synadia-io/orbit.go (v0.3.2) does the same, but leaves a
// subscription behind if the connection is lost before its request, and takes a deadline
// for the end of the batch.
func (f *Feed) getBatch(ctx context.Context, subject string, take func(data []byte)) error {
	request, err := json.Marshal(map[string]any{"seq": 1, "next_by_subj": subject, "batch": maxBackfill})
	if err != nil {
		return err
	}
	responses, err := f.nc.SubscribeSync(f.nc.NewRespInbox())
	if err != nil {
		return fmt.Errorf("subscribe to responses: %w", err)
	}
	defer responses.Unsubscribe() //nolint:errcheck // it fails only if the connection is closed
	to := cmp.Or(f.cfg.APIPrefix, jetstream.DefaultAPIPrefix)
	if err := f.nc.PublishRequest(strings.TrimSuffix(to, ".")+".DIRECT.GET."+f.cfg.Names.Stream(), responses.Subject, request); err != nil {
		return fmt.Errorf("request messages: %w", err)
	}
	for {
		msg, err := responses.NextMsgWithContext(ctx)
		if err != nil {
			return fmt.Errorf("read messages: %w", err)
		}
		switch status := msg.Header.Get("Status"); status {
		case "":
			take(msg.Data)
		case "204", "404": // the end of the batch; no messages
			return nil
		default:
			return fmt.Errorf("read messages: status %s %.100s", status, msg.Header.Get("Description"))
		}
	}
}
