package load

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
)

// tell writes a line per second until ended is closed.
func (r *run) tell(w io.Writer, ended <-chan struct{}) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	var before int64
	for second := 1; ; second++ {
		select {
		case <-tick.C:
		case <-ended:
			return
		}
		now := r.tally.acknowledged.Load()
		fmt.Fprintf(w, "%4d s  %7d entries/s  %6d in flight  %10d acknowledged  %7d errors\n",
			second, now-before, r.tally.inFlight.Load(), now, r.tally.failures.Load())
		before = now
	}
}

// report writes the table of what was sent and answered.
func (r *run) report(w io.Writer, lasted time.Duration) {
	t := r.tally
	h := t.histogram()
	refused, retried := t.reasons()
	var rate float64
	if lasted > 0 {
		rate = float64(t.acknowledged.Load()) / lasted.Seconds()
	}
	fmt.Fprintf(w, "\nmode %s, %d in flight, %d connections, %d raffles\n", r.cfg.Mode, r.cfg.Concurrency, r.cfg.Connections, r.cfg.Raffles)
	fmt.Fprintf(w, "%-28s %12.0f entries/s over %.1f s\n", "rate", rate, lasted.Seconds())
	for _, q := range []float64{50, 99, 99.9, 100} {
		fmt.Fprintf(w, "%-28s %12.2f ms\n", fmt.Sprintf("latency p%v", q), float64(h.ValueAtQuantile(q))/1000)
	}
	fmt.Fprintf(w, "%-28s %12d\n", "acknowledged", t.acknowledged.Load())
	fmt.Fprintf(w, "%-28s %12d\n", "sent twice at once", t.repeated.Load())
	fmt.Fprintf(w, "%-28s %12d\n", "given up and sent again", t.givenUp.Load())
	fmt.Fprintf(w, "%-28s %12d\n", "without a final answer", t.unknown.Load())
	reasons(w, "refused", refused)
	reasons(w, "tried again", retried)
}

func reasons(w io.Writer, what string, counts map[string]int64) {
	for _, reason := range slices.Sorted(maps.Keys(counts)) {
		fmt.Fprintf(w, "%-28s %12d\n", what+" "+strings.ToUpper(reason), counts[reason])
	}
}

// report writes what the verification found. The last lines are for programs.
func (f *findings) report(w io.Writer, acknowledged int64) {
	if f == nil {
		fmt.Fprintf(w, "\nnot verified: no --database-url\nRESULT acknowledged %d\n", acknowledged)
		return
	}
	fmt.Fprintf(w, "\nverified against %d rows\n", f.rows)
	for _, line := range []struct {
		what  string
		count int64
	}{
		{"acknowledged, not stored", f.missing},
		{"stored unlike acknowledged", f.altered},
		{"answers that contradict", f.contradicted},
		{"rows of one request", f.duplicates},
		{"rows of refused requests", f.unwanted},
		{"rows that nobody asked for", f.strangers},
		{"raffles miscounted", f.miscounted},
		{"members above the limit", f.above},
		{"entries outside open time", f.untimely},
	} {
		fmt.Fprintf(w, "%-28s %12d\n", line.what, line.count)
	}
	fmt.Fprintf(w, "RESULT acknowledged %d\nRESULT lost %d\nRESULT doubled %d\nRESULT counter_wrong %d\n",
		acknowledged, f.lost(), f.doubled(), f.counterWrong())
}
