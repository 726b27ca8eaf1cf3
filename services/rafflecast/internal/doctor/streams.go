package doctor

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/rafflecast/rafflecast/services/rafflecast/internal/sseclient"
)

const (
	maxStreams        = 6  // that are watched one after the other, if they are cut
	concurrentStreams = 10 // that are opened at once
	progressInterval  = 10 * time.Second
)

// watch reads a stream until ctx ends, and another one whenever one is cut, so
// that a limit can be distinguished from an accident.
func (d *doctor) watch(ctx context.Context) {
	var counts eventCounts
	stop := d.reportProgress(ctx, &counts)
	defer stop()
	for len(d.m.streams) < maxStreams && ctx.Err() == nil {
		s := d.subscribe(ctx, d.client, "", nil, func(e event) bool { counts.add(e.name); return true })
		d.m.streams = append(d.m.streams, s)
		if s.ending == raffleEnded || s.head.status != http.StatusOK {
			return
		}
	}
}

// eventCounts counts events by name. Safe for concurrent use.
type eventCounts struct {
	mu     sync.Mutex
	byName map[string]int
}

func (c *eventCounts) add(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.byName == nil {
		c.byName = map[string]int{}
	}
	c.byName[name]++
}

func (c *eventCounts) get(name string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.byName[name]
}

// reportProgress writes a line now and then until ctx ends or stop is called.
func (d *doctor) reportProgress(ctx context.Context, counts *eventCounts) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var reporting sync.WaitGroup
	reporting.Go(func() {
		tick := time.NewTicker(progressInterval)
		defer tick.Stop()
		for passed := progressInterval; ; passed += progressInterval {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			fmt.Fprintf(d.progress, "%6v  odds: %d, heartbeats: %d\n", passed,
				counts.get(sseclient.OddsEvent), counts.get(sseclient.HeartbeatEvent))
		}
	})
	return func() { cancel(); reporting.Wait() }
}

// openConcurrently opens several streams at once, each over a connection of its
// own, and holds them until each has had an event or failed, or time is up.
func (d *doctor) openConcurrently(ctx context.Context) {
	ctx, stop := context.WithTimeout(ctx, d.limits.timeout)
	defer stop()
	d.m.concurrent = make([]stream, concurrentStreams)
	var begun, ended sync.WaitGroup
	begun.Add(concurrentStreams)
	for i := range d.m.concurrent {
		ended.Go(func() {
			once := sync.OnceFunc(begun.Done)
			defer once()
			c := d.newClient()
			defer c.CloseIdleConnections()
			d.m.concurrent[i] = d.subscribe(ctx, c, "", nil, func(event) bool { once(); return true })
		})
	}
	begun.Wait()
	stop()
	ended.Wait()
}
