package fanout

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/rafflecast/rafflecast/services/gateway/internal/odds"
)

// Wait is a long poll: it returns when u is not the newest of its raffle any more,
// after at most d, or when ctx ends. When the hub drains, it returns within the
// window, and when the hub stops, at once.
func (h *Hub) Wait(ctx context.Context, u *odds.Update, d time.Duration) {
	if !h.enter() {
		return
	}
	defer h.exit()
	h.polls.add(h.wait(ctx, u, d))
}

func (h *Hub) wait(ctx context.Context, u *odds.Update, d time.Duration) Reason {
	timeout := time.NewTimer(d)
	defer timeout.Stop()
	draining, drained := h.draining, (<-chan time.Time)(nil)
	for {
		changed := h.cfg.Cache.Changed(u)
		select {
		case <-changed:
			if newest := h.cfg.Cache.Newest(u.RaffleID); newest == nil || isNewer(newest, u) {
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
