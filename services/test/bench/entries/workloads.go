//go:build unix

package bench

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/rafflecast/rafflecast/services/rafflecast/load"
)

// workload is one way to place entries.
type workload struct {
	name    string
	noop    bool   // at the no-op server instead of the service
	mode    string // of load
	callers int    // requests in flight
	drawn   bool   // the raffle has a log, and will be drawn
	secured bool   // at the service that authenticates its callers
	// run takes a turn; nil: over gRPC, by mode.
	run func(*bench, context.Context) (load.Result, error)
}

// The workloads whose ratios are the benchmark's results.
const (
	nameNaive      = "naive"
	nameStream     = "stream"
	nameCopy       = "copy"
	nameNoopStream = "noop-stream"
	nameUnary      = "unary-"
	nameNoopUnary  = "noop-unary-"
	nameDrawn      = "drawn-"   // and the name of the workload without a draw
	nameSecured    = "secured-" // and the name of the workload without tokens
)

// workloads in the order of the first round's turns: those that are compared follow each other,
// and copy follows the stream whose rows it copies.
var workloads = []workload{
	{name: nameNaive, run: (*bench).naive},
	{name: nameStream, mode: load.Stream, callers: 1000},
	{name: nameDrawn + nameStream, mode: load.Stream, callers: 1000, drawn: true},
	{name: nameCopy, run: (*bench).copy},
	{name: nameNoopStream, noop: true, mode: load.Stream, callers: 1000},
	{name: nameStream + "-4000", mode: load.Stream, callers: 4000},
	{name: nameNoopStream + "-4000", noop: true, mode: load.Stream, callers: 4000},
	{name: nameUnary + "64", mode: load.Unary, callers: 64},
	{name: nameNoopUnary + "64", noop: true, mode: load.Unary, callers: 64},
	{name: nameUnary + "256", mode: load.Unary, callers: 256},
	{name: nameSecured + nameUnary + "256", mode: load.Unary, callers: 256, secured: true},
	{name: nameDrawn + nameUnary + "256", mode: load.Unary, callers: 256, drawn: true},
	{name: nameNoopUnary + "256", noop: true, mode: load.Unary, callers: 256},
	{name: nameUnary + "1000", mode: load.Unary, callers: 1000},
	{name: nameNoopUnary + "1000", noop: true, mode: load.Unary, callers: 1000},
}

func names() []string {
	all := make([]string, len(workloads))
	for i := range workloads {
		all[i] = workloads[i].name
	}
	return all
}

// turnsOf returns workloads in the order of a round's turns. In every second round, a
// workload and its variants (drawn, secured) take their turns the other way round: a turn
// pays for what the one before has left to write, and in this way each pays as often.
func turnsOf(round int, chosen []workload) []workload {
	chosen = slices.Clone(chosen)
	if round%2 == 1 {
		return chosen
	}
	for from := 0; from < len(chosen); {
		end := from + 1
		for end < len(chosen) && chosen[end].base() == chosen[from].base() {
			end++
		}
		slices.Reverse(chosen[from:end])
		from = end
	}
	return chosen
}

// base returns the name of the workload that this one is a variant of, or its own.
func (w *workload) base() string {
	return strings.TrimPrefix(strings.TrimPrefix(w.name, nameDrawn), nameSecured)
}

// matching returns the names that begin with a prefix.
func matching(prefix string) []string {
	return slices.DeleteFunc(names(), func(name string) bool { return !strings.HasPrefix(name, prefix) })
}

// chosen returns the workloads that take part.
func (c *Config) chosen() []workload {
	only := c.only()
	return slices.DeleteFunc(slices.Clone(workloads), func(w workload) bool {
		return only != nil &&
			!slices.ContainsFunc(only, func(prefix string) bool { return strings.HasPrefix(w.name, prefix) })
	})
}

func (b *bench) naive(ctx context.Context) (load.Result, error) {
	n, err := newNaive(ctx, b.database.pool)
	if err != nil {
		return load.Result{}, err
	}
	return n.run(ctx, b.cfg.Duration)
}

// copyRowsPerSecond is how many rows copy has per second of its turn if no stream
// ran before it.
const copyRowsPerSecond = 60_000

func (b *bench) copy(ctx context.Context) (load.Result, error) {
	plan, rows := b.streamed.plan, b.streamed.rows
	if plan == nil {
		plan = &load.Plan{Raffles: []int64{rand.Int64()}, MaxEntries: 1, Seed: rand.Uint64()}
		rows = int64(copyRowsPerSecond * b.cfg.Duration.Seconds())
	}
	return copyRows(ctx, b.database.pool, plan, rows)
}

// loadConfig returns the generator's default settings for a workload, but without
// requests that are sent again on purpose.
func (b *bench) loadConfig(w *workload) load.Config {
	cfg := load.DefaultConfig()
	cfg.Target = b.serverOf(w).address
	cfg.Mode, cfg.Concurrency, cfg.Connections, cfg.Duration = w.mode, w.callers, b.cfg.Connections, b.cfg.Duration
	cfg.RepeatPercent, cfg.CancelPercent = 0, 0
	if w.secured {
		cfg.Credentials.Token = b.tokens.token
	}
	if w.drawn {
		cfg.DrawDelay = time.Hour // it is never closed
	}
	return cfg
}

// enter takes a turn over gRPC, and verifies it. measured measures what it is given.
func (b *bench) enter(ctx context.Context, w *workload, measured func(func() (load.Result, error)) error) error {
	cfg := b.loadConfig(w)
	options, err := cfg.Credentials.DialOptions()
	if err != nil {
		return err
	}
	conns, err := load.Dial(cfg.Target, cfg.Connections, options...)
	if err != nil {
		return err
	}
	defer conns.Close()
	generator, err := load.Prepare(ctx, cfg, conns)
	if err != nil {
		return err
	}
	var result load.Result
	err = measured(func() (_ load.Result, err error) {
		result, err = generator.Send(ctx, io.Discard)
		return result, err
	})
	switch {
	case err != nil:
		return err
	case result.Acknowledged == 0:
		return fmt.Errorf("%s: nothing was acknowledged", w.name)
	case w.noop:
		return nil
	case w.mode == load.Stream && !w.drawn:
		b.streamed.plan, b.streamed.rows = generator.Plan(), result.Acknowledged
	}
	return generator.Verify(ctx, b.database.server.URL())
}
