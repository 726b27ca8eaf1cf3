//go:build unix

package bench

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"time"

	"github.com/rafflecast/rafflecast/services/test/bench/internal/measure"
)

func (b *bench) describe(ctx context.Context) error {
	postgres, err := b.database.describe(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintf(
		b.out,
		"machine   %d CPUs, %s/%s, %s\nPostgreSQL %s\nturns     %d rounds of %v each, %d connection(s); figures are medians\n\n",
		runtime.NumCPU(),
		runtime.GOOS,
		runtime.GOARCH,
		runtime.Version(),
		postgres,
		b.cfg.Rounds,
		b.cfg.Duration,
		b.cfg.Connections,
	)
	return nil
}

// report writes the table, the ratios, and last the lines for programs. memory is nil
// without a memory test, draws without a draw.
func (b *bench) report(memory *memoryUse, draws *drawUse) {
	fmt.Fprintf(
		b.out,
		"%-16s %10s %9s %9s %9s   %s\n",
		"",
		"entries/s",
		"p50 ms",
		"p99 ms",
		"p99.9 ms",
		"CPU µs per entry: client, server, PostgreSQL; CPUs used by others",
	)
	for _, w := range b.cfg.chosen() {
		b.reportWorkload(w.name)
	}
	if memory != nil {
		fmt.Fprintf(
			b.out,
			"\nmemory of the service over %d million entries at %.0f entries/s: %.1f MiB after the first million, %.1f MiB at the end, %.1f MiB at most\n",
			b.cfg.Million,
			memory.rate,
			mib(memory.early),
			mib(memory.late),
			mib(memory.most),
		)
	}
	fmt.Fprintln(b.out)
	for _, callers := range []string{"64", "256"} {
		if ratio, ok := b.rateRatio(nameUnary+callers, nameNoopUnary+callers); ok {
			fmt.Fprintf(b.out, "%-24s %.3f\n", "unary"+callers+"_per_noop", ratio)
		}
	}
	if ratio, ok := b.rateRatio(nameStream, nameNoopStream); ok {
		fmt.Fprintf(b.out, "%-24s %.3f\n", "stream_per_noop", ratio)
	}
	if bound, ok := b.bound(nameNoopStream); ok {
		fmt.Fprintf(b.out, "bound of the stream: %.0f entries/s, the CPUs of this machine, spent on noop-stream and copy alone\n", bound)
	}
	fmt.Fprintln(b.out)
	for _, window := range []string{"", "-4000"} {
		bound, ok := b.bound(nameNoopStream + window)
		if streams := b.turns[nameStream+window]; ok && streams != nil {
			measure.Result(b.out, "stream"+strings.TrimPrefix(window, "-")+"_per_bound", "%.3f", median(streams, rate)/bound)
		}
	}
	b.reportResults(memory)
	if draws != nil {
		measure.Result(b.out, "draw_seconds", "%.1f", draws.draw.Seconds())
		measure.Result(b.out, "verify_seconds", "%.1f", draws.verify.Seconds())
		measure.Result(b.out, "draw_memory_mb", "%.0f", draws.drawMB)
		measure.Result(b.out, "verify_memory_mb", "%.0f", draws.verifyMB)
	}
}

func (b *bench) reportResults(memory *memoryUse) {
	for _, r := range []struct{ name, format, above, below string }{
		{"stream_per_copy", "%.3f", nameStream, nameCopy},
		{"stream_per_naive", "%.1f", nameStream, nameNaive},
		{"unary1000_per_noop", "%.3f", nameUnary + "1000", nameNoopUnary + "1000"},
		{"draw_cost_ratio", "%.3f", nameStream, nameDrawn + nameStream},
		{"draw_cost_ratio_unary256", "%.3f", nameUnary + "256", nameDrawn + nameUnary + "256"},
	} {
		if ratio, ok := b.rateRatio(r.above, r.below); ok {
			measure.Result(b.out, r.name, r.format, ratio)
		}
	}
	if plain, secured := b.turns[nameUnary+"256"], b.turns[nameSecured+nameUnary+"256"]; plain != nil && secured != nil {
		measure.Result(b.out, "auth_cost_ratio", "%.3f", measure.MedianRatio(values(secured, serverCPU), values(plain, serverCPU)))
	}
	if turns := b.turns[nameUnary+"256"]; turns != nil {
		measure.Result(b.out, "unary256_p99_ms", "%.2f", median(turns, quantile(99)))
	}
	if turns := b.turns[nameStream]; turns != nil {
		measure.Result(b.out, "stream_entries_per_s", "%.0f", median(turns, rate))
	}
	if memory != nil {
		measure.Result(b.out, "memory_growth_mib", "%.1f", mib(memory.late-memory.early))
	}
}

func (b *bench) reportWorkload(name string) {
	turns := b.turns[name]
	fmt.Fprintf(b.out, "%-16s %10.0f", name, median(turns, rate))
	for _, percent := range []float64{50, 99, 99.9} {
		if turns[0].result.Latency == nil {
			fmt.Fprintf(b.out, " %9s", "-")
		} else {
			fmt.Fprintf(b.out, " %9.2f", median(turns, quantile(percent)))
		}
	}
	for _, part := range []func(usage) time.Duration{
		func(u usage) time.Duration { return u.client },
		func(u usage) time.Duration { return u.server },
		func(u usage) time.Duration { return u.postgres },
	} {
		fmt.Fprintf(b.out, " %8.1f", median(turns, func(t *turn) float64 {
			return float64(part(t.used).Microseconds()) / float64(t.result.Acknowledged)
		}))
	}
	fmt.Fprintf(
		b.out,
		" %8.2f\n",
		median(turns, func(t *turn) float64 { return t.used.others.Seconds() / t.result.Elapsed.Seconds() }),
	)
}

// rateRatio returns the ratio of two workloads' rates, and whether both took part.
func (b *bench) rateRatio(above, below string) (ratio float64, ok bool) {
	a, c := b.turns[above], b.turns[below]
	if a == nil || c == nil {
		return 0, false
	}
	return measure.MedianRatio(values(a, rate), values(c, rate)), true
}

// bound returns the rate that a stream could at most reach while client, server and
// PostgreSQL share this machine: if the service cost no more than a no-op, its rows no
// more than by COPY, and no CPU were ever idle.
func (b *bench) bound(noopStream string) (perSecond float64, ok bool) {
	noop, copied := b.turns[noopStream], b.turns[nameCopy]
	if noop == nil || copied == nil {
		return 0, false
	}
	perEntry := func(t *turn) float64 {
		return (t.used.client + t.used.server + t.used.postgres).Seconds() / float64(t.result.Acknowledged)
	}
	return float64(runtime.NumCPU()) / (median(noop, perEntry) + median(copied, perEntry)), true
}

// serverCPU returns the CPU time of the server per entry, in seconds.
func serverCPU(t *turn) float64 { return t.used.server.Seconds() / float64(t.result.Acknowledged) }

func rate(t *turn) float64 { return t.result.Rate() }

// quantile returns a function that returns a turn's latency in milliseconds.
func quantile(percent float64) func(*turn) float64 {
	return func(t *turn) float64 { return float64(t.result.Latency.ValueAtQuantile(percent)) / 1000 }
}

func values(turns []turn, of func(*turn) float64) []float64 {
	all := make([]float64, len(turns))
	for i := range turns {
		all[i] = of(&turns[i])
	}
	return all
}

func median(turns []turn, of func(*turn) float64) float64 { return measure.Median(values(turns, of)) }

func mib(bytes int64) float64 { return float64(bytes) / (1 << 20) }
