package load

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// reportProgress writes a line per second until stop is called, or draws a bar.
func (g *Generator) reportProgress(w io.Writer) (stop func()) {
	if g.cfg.Bar {
		return g.drawProgress(w)
	}
	ended := make(chan struct{})
	var reporting sync.WaitGroup
	reporting.Go(func() {
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		var before int64
		for second := 1; ; second++ {
			select {
			case <-tick.C:
			case <-ended:
				return
			}
			now := g.counters.acknowledged.Load()
			fmt.Fprintf(w, "%4d s  %7d entries/s  %6d in flight  %10d acknowledged  %7d errors\n",
				second, now-before, g.counters.inFlight.Load(), now, g.counters.failures.Load())
			before = now
		}
	})
	return func() { close(ended); reporting.Wait() }
}

// report writes a table of what was sent and answered.
func (r *Result) report(w io.Writer, cfg *Config) {
	fmt.Fprintf(
		w,
		"\nmode %s, %d in flight, %d connections, %d raffles\n",
		cfg.Mode,
		cfg.Concurrency,
		cfg.Connections,
		cfg.Raffles,
	)
	fmt.Fprintf(w, "%-28s %12.0f entries/s over %.1f s\n", "rate", r.Rate(), r.Elapsed.Seconds())
	for _, percent := range []float64{50, 99, 99.9, 100} {
		fmt.Fprintf(
			w,
			"%-28s %12.2f ms\n",
			fmt.Sprintf("latency p%v", percent),
			float64(r.Latency.ValueAtQuantile(percent))/1000,
		)
	}
	line := func(what string, count int64) { fmt.Fprintf(w, "%-28s %12d\n", what, count) }
	line("acknowledged", r.Acknowledged)
	line("sent twice at once", r.Repeated)
	line("cancelled and sent again", r.Cancelled)
	line("without a final answer", r.Unknown)
	for _, reason := range slices.Sorted(maps.Keys(r.Refused)) {
		line("refused "+strings.ToUpper(reason), r.Refused[reason])
	}
	for _, reason := range slices.Sorted(maps.Keys(r.Retried)) {
		line("retried "+strings.ToUpper(reason), r.Retried[reason])
	}
	fmt.Fprintf(w, "RESULT p99_ms %d\nRESULT retried %d\n", r.p99().Milliseconds(), r.retried())
}

// report writes what the verification found. Its last lines, which begin with
// RESULT, are for programs.
func (f *findings) report(w io.Writer, acknowledged int64) {
	fmt.Fprintf(w, "\nverified against %d rows\n", f.rows)
	for _, line := range []struct {
		what  string
		count int64
	}{
		{"acknowledged, not stored", f.missing},
		{"stored unlike acknowledged", f.altered},
		{"contradicting answers", f.contradicted},
		{"second rows of a request", f.duplicates},
		{"rows of refused requests", f.refused},
		{"rows without a request", f.unrequested},
		{"raffles miscounted", f.miscounted},
		{"members above the limit", f.overLimit},
		{"entries outside open time", f.outsideOpenTime},
	} {
		fmt.Fprintf(w, "%-28s %12d\n", line.what, line.count)
	}
	fmt.Fprintf(w, "RESULT acknowledged %d\nRESULT lost %d\nRESULT doubled %d\nRESULT counter_wrong %d\n",
		acknowledged, f.lost(), f.doubled(), f.counterWrong())
}
