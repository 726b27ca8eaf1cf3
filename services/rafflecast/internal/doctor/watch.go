package doctor

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"
)

const (
	maxStreams = 6  // that are watched one after the other, where they are cut
	crowd      = 10 // streams at once
	tellEvery  = 10 * time.Second
)

// watch reads a stream for all the time that there is, and another where one is
// cut, so that a limit is told from an accident.
func (d *doctor) watch(ctx context.Context) {
	var told progress
	stopTelling := d.tell(ctx, &told)
	defer stopTelling()
	for len(d.m.watched) < maxStreams && ctx.Err() == nil {
		s := d.subscribe(ctx, d.client, "", nil, told.note)
		d.m.watched = append(d.m.watched, s)
		if s.ending == finished || s.head.status != http.StatusOK {
			return
		}
	}
}

// progress counts what came. It is safe for concurrent use.
type progress struct {
	mu     sync.Mutex
	counts map[string]int
}

func (p *progress) note(e event) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.counts == nil {
		p.counts = map[string]int{}
	}
	p.counts[e.name]++
	return true
}

// tell writes a line now and then until it is stopped.
func (d *doctor) tell(ctx context.Context, p *progress) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var telling sync.WaitGroup
	telling.Go(func() {
		tick := time.NewTicker(tellEvery)
		defer tick.Stop()
		for passed := tellEvery; ; passed += tellEvery {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			p.mu.Lock()
			fmt.Fprintf(d.progress, "%6v  odds: %d, heartbeats: %d\n", passed, p.counts[oddsEvent], p.counts["heartbeat"])
			p.mu.Unlock()
		}
	})
	return func() { cancel(); telling.Wait() }
}

// gather opens many streams at once, each over a connection of its own, and
// holds them until all have begun or have had their time.
func (d *doctor) gather(ctx context.Context) {
	ctx, stop := context.WithTimeout(ctx, d.cfg.patience)
	defer stop()
	d.m.crowd = make([]stream, crowd)
	var begun, all sync.WaitGroup
	begun.Add(crowd)
	for i := range d.m.crowd {
		all.Go(func() {
			once := sync.OnceFunc(begun.Done)
			defer once()
			c := d.newClient()
			defer c.CloseIdleConnections()
			d.m.crowd[i] = d.subscribe(ctx, c, "", nil, func(event) bool { once(); return true })
		})
	}
	begun.Wait()
	stop()
	all.Wait()
}
