package loadstreams

import (
	"fmt"
	"sync"
	"time"
)

// bursts records when something happened to clients, to tell whether it happened to many
// of them at once. Safe for concurrent use; the zero value is empty.
type bursts struct {
	mu    sync.Mutex
	times []time.Time // ascending
}

func (b *bursts) add() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.times = append(b.times, time.Now())
}

// greatest returns the most events within any period of this length.
func (b *bursts) greatest(period time.Duration) (most int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	first := 0
	for i, t := range b.times {
		for t.Sub(b.times[first]) >= period {
			first++
		}
		most = max(most, i-first+1)
	}
	return most
}

// burstPeriod is the time within which events count as one burst.
const burstPeriod = time.Second

// checkBursts returns what is wrong with how clients lost their streams and came back.
func (r *run) checkBursts() (faults []string) {
	for _, b := range []struct {
		events *bursts
		what   string
	}{{&r.losses, "lost their streams"}, {&r.returns, "connected again"}} {
		if most := b.events.greatest(burstPeriod); r.cfg.MaxBurst > 0 && most*100 > len(r.clients)*r.cfg.MaxBurst {
			faults = append(faults, fmt.Sprintf("%d of %d clients %s within %v, more than %d %%", most, len(r.clients), b.what, burstPeriod, r.cfg.MaxBurst))
		}
	}
	return faults
}
