package load

import (
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"
)

// barInterval is the time between two drawings of the bar.
const barInterval = 200 * time.Millisecond

// drawProgress draws a bar on a terminal until stop is called: of the requests, if their
// number is set, or else of the time.
func (g *Generator) drawProgress(w io.Writer) (stop func()) {
	start := time.Now()
	total := int64(g.cfg.Count)
	done := func() int64 { return g.counters.acknowledged.Load() + g.counters.failures.Load() }
	if total == 0 {
		total = g.cfg.Duration.Milliseconds()
		done = func() int64 { return time.Since(start).Milliseconds() }
	}
	bar := progressbar.NewOptions64(total, progressbar.OptionSetWriter(w), progressbar.OptionSetWidth(30),
		progressbar.OptionSetPredictTime(false), progressbar.OptionClearOnFinish())
	ended := make(chan struct{})
	var drawing sync.WaitGroup
	drawing.Go(func() {
		tick := time.NewTicker(barInterval)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
			case <-ended:
				return
			}
			entries := g.counters.acknowledged.Load()
			bar.Describe(fmt.Sprintf("%d entries, %.0f/s, %d in flight, %d errors", entries,
				float64(entries)/time.Since(start).Seconds(), g.counters.inFlight.Load(), g.counters.failures.Load()))
			_ = bar.Set64(min(done(), total-1)) // a terminal that is gone needs no bar
		}
	})
	return func() { close(ended); drawing.Wait(); _ = bar.Finish() }
}
