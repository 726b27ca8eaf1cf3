package outbox

import (
	"context"
	"time"

	"github.com/rafflecast/rafflecast/services/participation/internal/raffle"
)

const (
	// identityInterval is how often it is read which database answers.
	identityInterval = time.Second
	// identityTimeout bounds that.
	identityTimeout = 2 * time.Second
)

// watchDatabase reads again and again which database answers, until ctx ends. If it is
// another one, was restored to an earlier time, or a failover has taken place, then
// connections may lead to the wrong server, and the stream may have what the database
// has lost: it closes the connections and starts a comparison.
func (r *reconciler) watchDatabase(ctx context.Context) {
	tick := time.NewTicker(identityInterval)
	defer tick.Stop()
	var known raffle.DatabaseIdentity
	for {
		if now, ok := r.identity(ctx); ok {
			if !known.Continues(now) {
				r.cfg.Log.Warn("the database was restored, or has failed over to another server: comparing the stream of odds with it",
					"before", known, "now", now)
				r.source.Reset()
				r.stream.UseDatabase(now.ID)
				r.queue.forgetPublished()
				signal(r.restored)
			}
			known = now
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// identity reads which database answers, and returns false if none does.
func (r *reconciler) identity(ctx context.Context) (raffle.DatabaseIdentity, bool) {
	ctx, cancel := context.WithTimeout(ctx, identityTimeout)
	defer cancel()
	identity, err := r.source.Identity(ctx)
	return identity, err == nil
}
