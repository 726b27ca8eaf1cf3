package feed

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/rafflecast/rafflecast/services/gateway/internal/odds"
	"github.com/rafflecast/rafflecast/services/internal/oddsstream"
)

// recallTimeout bounds a recall: a client waits for its first event meanwhile.
const recallTimeout = 2 * time.Second

// Recall adds to a raffle's recent updates those which the stream still holds: an
// instance that has just started knows only the newest. It asks the stream once,
// however many clients want it. Where NATS is away it returns at once, and what
// is missing stays so.
func (f *Feed) Recall(ctx context.Context, raffleID int64) {
	js := f.js.Load()
	if js == nil || f.board.recalled(raffleID) {
		return
	}
	result := f.recalls.DoChan(strconv.FormatInt(raffleID, 10), func() (any, error) {
		// Not the context of the one who came first: others wait as well.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recallTimeout)
		defer cancel()
		return nil, f.recall(ctx, *js, raffleID)
	})
	select {
	case r := <-result:
		if r.Err != nil {
			f.cfg.Log.Warn("odds: no history", "raffle", raffleID, "error", r.Err)
		}
	case <-ctx.Done():
	}
}

func (f *Feed) recall(ctx context.Context, js jetstream.JetStream, raffleID int64) error {
	var history []*odds.Update
	err := stored(ctx, js.Conn(), f.apiPrefix()+".DIRECT.GET."+oddsstream.Name, oddsstream.Subject(raffleID), func(data []byte) {
		u, err := odds.Decode(data)
		if err != nil || u.RaffleID != raffleID {
			return // as when it was heard
		}
		if n := len(history); n == 0 || u.Version > history[n-1].Version {
			history = append(history, u)
		}
	})
	if err != nil {
		return fmt.Errorf("read the history: %w", err)
	}
	f.board.recall(raffleID, history)
	return nil
}

// maxRecalled is more than the stream keeps of a raffle.
const maxRecalled = 100

// stored calls yield with all messages of a subject, by a batched Direct Get
// (https://github.com/nats-io/nats-architecture-and-design, ADR-31): one request,
// which any replica answers, and no consumer.
func stored(ctx context.Context, nc *nats.Conn, directGet, subject string, yield func([]byte)) error {
	request, err := json.Marshal(map[string]any{"seq": 1, "next_by_subj": subject, "batch": maxRecalled})
	if err != nil {
		return err
	}
	replies, err := nc.SubscribeSync(nc.NewRespInbox())
	if err != nil {
		return err
	}
	defer func() { _ = replies.Unsubscribe() }() // fails only where the connection is closed
	if err := nc.PublishRequest(directGet, replies.Subject, request); err != nil {
		return err
	}
	for {
		msg, err := replies.NextMsgWithContext(ctx)
		if err != nil {
			return err
		}
		// A message has no status; the end of the batch and errors have.
		switch status := msg.Header.Get("Status"); status {
		case "":
			yield(msg.Data)
		case "204", "404":
			return nil
		default:
			return fmt.Errorf("status %s: %s", status, msg.Header.Get("Description"))
		}
	}
}
