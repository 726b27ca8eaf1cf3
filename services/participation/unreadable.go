package participation

import (
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/time/rate"

	"github.com/rafflecast/rafflecast/services/participation/internal/raffle"
)

const (
	// unreadableInterval is the least time between two log lines about the same raffle,
	// which is met twice a second.
	unreadableInterval = time.Minute
	// maxUnreadable bounds the memory for raffles that were logged.
	maxUnreadable = 100
)

// unreadableRaffles counts and logs raffles whose rows can't be read. It is safe for
// concurrent use.
type unreadableRaffles struct {
	log   *slog.Logger
	count prometheus.Counter

	mu     sync.Mutex
	logged map[int64]*rate.Sometimes // by raffle
}

func (u *unreadableRaffles) report(err *raffle.UnreadableError) {
	u.count.Inc()
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.logged[err.RaffleID] == nil {
		if u.logged == nil || len(u.logged) >= maxUnreadable {
			u.logged = make(map[int64]*rate.Sometimes)
		}
		u.logged[err.RaffleID] = &rate.Sometimes{Interval: unreadableInterval}
	}
	u.logged[err.RaffleID].Do(func() {
		u.log.Error("a raffle can't be read: mend its row in the database", "raffle", err.RaffleID, "column", err.Column, "value", err.Value)
	})
}
