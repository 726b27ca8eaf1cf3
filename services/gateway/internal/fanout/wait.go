package fanout

import (
	"context"
	"math/rand/v2"
	"time"
)

// Wait is a long poll: it returns when a raffle has a newer version than this one,
// after at most d, or when ctx ends. When the hub drains, it returns within the
// window, and when the hub stops, at once.
func (h *Hub) Wait(ctx context.Context, raffleID, version int64, d time.Duration) {
	if !h.enter() {
		return
	}
	defer h.exit()
	h.polls.add(h.wait(ctx, raffleID, version, d))
}

func (h *Hub) wait(ctx context.Context, raffleID, version int64, d time.Duration) Reason {
	timeout := time.NewTimer(d)
	defer timeout.Stop()
	draining, drained := h.draining, (<-chan time.Time)(nil)
	for {
		changed := h.cfg.Cache.Changed(raffleID, version)
		select {
		case <-changed:
			if u := h.cfg.Cache.Newest(raffleID); u != nil && u.Version > version {
				return PollAnswered
			}
		case <-timeout.C:
			return PollTimeout
		case <-ctx.Done():
			return ClientGone
		case <-draining: // evenly over the window, as streams
			draining, drained = nil, time.After(rand.N(h.drainWindow+1))
		case <-drained:
			return GoingAway
		case <-h.stopped:
			return GoingAway
		}
	}
}
