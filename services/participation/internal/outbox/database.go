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
	var before raffle.DatabaseIdentity
	for {
		if now, ok := r.identity(ctx); ok {
			life := int64(r.cfg.Comparison.Observe(now))
			if life != r.life.Load() {
				r.cfg.Log.Warn("the database was restored, or has failed over to another server: comparing the stream of odds with it",
					"before", before, "now", now)
				r.source.Reset()
				r.stream.UseDatabase(now.ID)
				r.queue.forgetPublished()
				r.life.Store(life)
				signal(r.restored)
			}
			if before == (raffle.DatabaseIdentity{}) {
				close(r.identified)
			}
			before = now
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
