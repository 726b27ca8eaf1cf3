package participation

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/rafflecast/rafflecast/services/participation/internal/postgres"
)

const (
	// openInterval is the time between two counts of the open raffles.
	openInterval = 10 * time.Second
	// busiestRaffles is how many raffles have a metric of their own: a label with the ids of
	// all raffles would have no bound.
	busiestRaffles = 10
	// recentSlots and recentSlot are the minute over which entries of a raffle are counted.
	recentSlots = 6
	recentSlot  = 10 * time.Second
)

// openRaffles keeps the newest count of the open raffles, for metrics.
type openRaffles struct {
	count  func(context.Context) (postgres.OpenRaffles, error)
	log    *slog.Logger
	newest atomic.Pointer[postgres.OpenRaffles]
}

// run counts until ctx ends.
func (o *openRaffles) run(ctx context.Context) {
	tick := time.NewTicker(openInterval)
	defer tick.Stop()
	for {
		o.read(ctx)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

func (o *openRaffles) read(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, openInterval)
	defer cancel()
	counted, err := o.count(ctx)
	if err != nil {
		o.log.DebugContext(ctx, "open raffles can't be counted: will try again", "error", err)
		return
	}
	o.newest.Store(&counted)
}

// get returns the newest count, which is zero before the first.
func (o *openRaffles) get() postgres.OpenRaffles {
	if c := o.newest.Load(); c != nil {
		return *c
	}
	return postgres.OpenRaffles{}
}

// busiest counts the entries that this instance has placed in the last minute, and is a
// metric of the raffles that have most of them. Safe for concurrent use.
type busiest struct {
	now func() time.Time
	// description is of the metric.
	description *prometheus.Desc

	mu      sync.Mutex
	slot    int64                         // the newest one, by the clock
	raffles map[int64]*[recentSlots]int64 // of those with an entry in the last minute
}

func newBusiest(now func() time.Time) *busiest {
	return &busiest{now: now, raffles: map[int64]*[recentSlots]int64{}, description: prometheus.NewDesc(
		namespace+"_busiest_raffle_entries", "Entries that this instance has placed within the last minute, of the ten raffles with most of them.",
		[]string{"raffle"}, nil)}
}

// add counts entries.
func (b *busiest) add(raffleID int64, entries int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.advance()
	slots := b.raffles[raffleID]
	if slots == nil {
		slots = new([recentSlots]int64)
		b.raffles[raffleID] = slots
	}
	slots[b.slot%recentSlots] += int64(entries)
}

// advance forgets what is older than a minute. b.mu is held.
func (b *busiest) advance() {
	slot := b.now().UnixNano() / int64(recentSlot)
	if slot <= b.slot {
		return
	}
	for n := max(b.slot+1, slot-recentSlots+1); n <= slot; n++ {
		for id, slots := range b.raffles {
			slots[n%recentSlots] = 0
			if *slots == ([recentSlots]int64{}) {
				delete(b.raffles, id)
			}
		}
	}
	b.slot = slot
}

// Describe implements prometheus.Collector.
func (b *busiest) Describe(c chan<- *prometheus.Desc) { c <- b.description }

// Collect implements prometheus.Collector.
func (b *busiest) Collect(c chan<- prometheus.Metric) {
	type raffle struct{ id, entries int64 }
	var all []raffle
	b.mu.Lock()
	b.advance()
	for id, slots := range b.raffles {
		r := raffle{id: id}
		for _, n := range slots {
			r.entries += n
		}
		all = append(all, r)
	}
	b.mu.Unlock()
	slices.SortFunc(all, func(x, y raffle) int { return cmp.Or(cmp.Compare(y.entries, x.entries), cmp.Compare(x.id, y.id)) })
	for _, r := range all[:min(len(all), busiestRaffles)] {
		c <- prometheus.MustNewConstMetric(b.description, prometheus.GaugeValue, float64(r.entries), strconv.FormatInt(r.id, 10))
	}
}
