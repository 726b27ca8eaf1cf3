//go:build unix

package bench

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"time"
)

func (b *bench) describe(ctx context.Context) error {
	postgres, err := b.database.describe(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintf(b.out, "machine   %d CPUs, %s/%s, %s\nPostgreSQL %s\nturns     %d rounds of %v each, %d connection(s); figures are medians\n\n",
		runtime.NumCPU(), runtime.GOOS, runtime.GOARCH, runtime.Version(), postgres, b.cfg.Rounds, b.cfg.Duration, b.cfg.Connections)
	return nil
}

// report writes the table, the ratios, and last the lines for programs.
func (b *bench) report(memory *growth) {
	fmt.Fprintf(b.out, "%-16s %10s %9s %9s %9s   %s\n", "", "entries/s", "p50 ms", "p99 ms", "p99.9 ms", "CPU µs per entry: client, server, PostgreSQL; CPUs used by others")
	for _, k := range b.cfg.chosen() {
		b.line(k.name)
	}
	if memory != nil {
		fmt.Fprintf(b.out, "\nmemory of the service over %d million entries at %.0f entries/s: %.1f MiB after the first million, %.1f MiB at the end, %.1f MiB at most\n",
			b.cfg.Million, memory.rate, mib(memory.early), mib(memory.late), mib(memory.most))
	}
	fmt.Fprintln(b.out)
	for _, callers := range []string{"64", "256"} {
		b.ratio("unary"+callers+"_per_noop", nameUnary+callers, nameNoopUnary+callers, "%-24s %.3f\n")
	}
	b.ratio("stream_per_noop", nameStream, nameNoopStream, "%-24s %.3f\n")
	b.bound()
	fmt.Fprintln(b.out)
	b.ratio("stream_per_copy", nameStream, nameCopy, result)
	b.ratio("stream_per_naive", nameStream, nameNaive, "RESULT %s %.1f\n")
	b.ratio("unary1000_per_noop", nameUnary+"1000", nameNoopUnary+"1000", result)
	if turns := b.turns[nameUnary+"256"]; turns != nil {
		fmt.Fprintf(b.out, "RESULT unary256_p99_ms %.2f\n", median(turns, quantile(99)))
	}
	if turns := b.turns[nameStream]; turns != nil {
		fmt.Fprintf(b.out, "RESULT stream_entries_per_s %.0f\n", median(turns, rate))
	}
	if memory != nil {
		fmt.Fprintf(b.out, "RESULT memory_growth_mib %.1f\n", mib(memory.late-memory.early))
	}
}

const result = "RESULT %s %.3f\n"

func (b *bench) line(name string) {
	turns := b.turns[name]
	fmt.Fprintf(b.out, "%-16s %10.0f", name, median(turns, rate))
	for _, q := range []float64{50, 99, 99.9} {
		if turns[0].Latency == nil {
			fmt.Fprintf(b.out, " %9s", "-")
		} else {
			fmt.Fprintf(b.out, " %9.2f", median(turns, quantile(q)))
		}
	}
	for _, part := range []func(usage) time.Duration{
		func(u usage) time.Duration { return u.client },
		func(u usage) time.Duration { return u.server },
		func(u usage) time.Duration { return u.postgres },
	} {
		fmt.Fprintf(b.out, " %8.1f", median(turns, func(t *turn) float64 {
			return float64(part(t.used).Microseconds()) / float64(t.Acknowledged)
		}))
	}
	fmt.Fprintf(b.out, " %8.2f\n", median(turns, func(t *turn) float64 { return t.used.others.Seconds() / t.Elapsed.Seconds() }))
}

// ratio writes the median of the rounds' ratios of two rates.
func (b *bench) ratio(name, above, below, format string) {
	a, c := b.turns[above], b.turns[below]
	if a == nil || c == nil {
		return
	}
	ratios := make([]float64, len(a))
	for i := range a {
		ratios[i] = a[i].Rate() / c[i].Rate()
	}
	fmt.Fprintf(b.out, format, name, middle(ratios))
}

// bound writes what a stream could reach at most where client, server and
// PostgreSQL share this machine: were the service to cost no more than a no-op,
// its rows no more than by COPY, and no CPU ever idle.
func (b *bench) bound() {
	above, below := b.turns[nameNoopStream], b.turns[nameCopy]
	if above == nil || below == nil {
		return
	}
	perEntry := func(t *turn) float64 {
		return (t.used.client + t.used.server + t.used.postgres).Seconds() / float64(t.Acknowledged)
	}
	most := float64(runtime.NumCPU()) / (median(above, perEntry) + median(below, perEntry))
	fmt.Fprintf(b.out, "%-24s %.3f (%.0f entries/s: the CPUs of this machine, spent on noop-stream and copy alone)\n",
		"stream_per_copy, at most", most/median(below, rate), most)
}

func rate(t *turn) float64 { return t.Rate() }

// quantile returns a function to a turn's latency in milliseconds.
func quantile(percent float64) func(*turn) float64 {
	return func(t *turn) float64 { return float64(t.Latency.ValueAtQuantile(percent)) / 1000 }
}

func median(turns []turn, of func(*turn) float64) float64 {
	values := make([]float64, len(turns))
	for i := range turns {
		values[i] = of(&turns[i])
	}
	return middle(values)
}

// middle returns the median.
func middle(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

func mib(bytes int64) float64 { return float64(bytes) / (1 << 20) }
