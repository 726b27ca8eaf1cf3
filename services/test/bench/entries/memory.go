//go:build unix

package bench

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/rafflecast/rafflecast/services/rafflecast/load"
)

// million is the unit of the memory test.
const million = 1_000_000

// growth is the service's resident memory, in bytes, averaged over the million
// entries after the first one and over the last million.
type growth struct {
	early, late, most int64
	rate              float64 // entries per second
}

// memory enters many millions over the stream and watches the service's memory.
// It returns nil where that is not wanted.
func (b *bench) memory(ctx context.Context) (*growth, error) {
	if b.cfg.Million == 0 {
		return nil, nil //nolint:nilnil // not wanted, no failure
	}
	total := int64(b.cfg.Million) * million
	fmt.Fprintf(b.log, "memory over %d entries\n", total)
	cfg := b.loadConfig(&contestant{mode: load.Stream, callers: 1000})
	cfg.Count, cfg.Duration = int(total), 0
	conns, err := load.Dial(cfg.Target, cfg.Connections)
	if err != nil {
		return nil, err
	}
	defer conns.Close()
	session, err := load.Prepare(ctx, cfg, conns)
	if err != nil {
		return nil, err
	}
	watch := &watch{pid: b.service.pid(), session: session, total: total, ended: make(chan struct{}), done: make(chan struct{})}
	go watch.run()
	result, err := session.Send(ctx, io.Discard)
	close(watch.ended)
	<-watch.done
	if err != nil {
		return nil, err
	}
	if result.Acknowledged != total {
		return nil, fmt.Errorf("%w: %d of %d entries acknowledged", errNotKept, result.Acknowledged, total)
	}
	if err := session.Verify(ctx, b.database.server.URL()); err != nil {
		return nil, err
	}
	g := watch.growth()
	g.rate = result.Rate()
	return g, watch.err
}

// watch samples a process's memory.
type watch struct {
	pid         int
	session     *load.Session
	total       int64
	early, late []int64
	most        int64
	err         error
	ended, done chan struct{}
}

func (w *watch) run() {
	defer close(w.done)
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			w.sample()
		case <-w.ended:
			return
		}
	}
}

func (w *watch) sample() {
	bytes, err := resident(w.pid)
	if err != nil {
		w.err = err
		return
	}
	w.most = max(w.most, bytes)
	at := w.session.Acknowledged()
	if million <= at && at < 2*million {
		w.early = append(w.early, bytes)
	}
	if w.total-million <= at {
		w.late = append(w.late, bytes)
	}
}

func (w *watch) growth() *growth {
	return &growth{early: mean(w.early), late: mean(w.late), most: w.most}
}

func mean(values []int64) int64 {
	var sum int64
	for _, v := range values {
		sum += v
	}
	return sum / int64(max(1, len(values)))
}
