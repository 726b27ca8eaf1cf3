//go:build unix

package bench

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/rafflecast/rafflecast/services/rafflecast/load"
)

// contestant is one way to enter.
type contestant struct {
	name string
	noop bool // at the no-op server instead of the service
	mode string
	// callers is how many requests are in flight.
	callers int
	// run takes a turn; nil: over gRPC, by mode.
	run func(*bench, context.Context) (load.Result, error)
}

// The contestants whose ratios are the benchmark's results.
const (
	nameNaive      = "naive"
	nameStream     = "stream"
	nameCopy       = "copy"
	nameNoopStream = "noop-stream"
	nameUnary      = "unary-"
	nameNoopUnary  = "noop-unary-"
)

// contestants take their turns in this order: those that are compared stand
// side by side, and copy follows the stream whose rows it copies.
var contestants = []contestant{
	{name: nameNaive, run: (*bench).naive},
	{name: nameStream, mode: load.Stream, callers: 1000},
	{name: nameCopy, run: (*bench).copy},
	{name: nameNoopStream, noop: true, mode: load.Stream, callers: 1000},
	{name: nameUnary + "64", mode: load.Unary, callers: 64},
	{name: nameNoopUnary + "64", noop: true, mode: load.Unary, callers: 64},
	{name: nameUnary + "256", mode: load.Unary, callers: 256},
	{name: nameNoopUnary + "256", noop: true, mode: load.Unary, callers: 256},
	{name: nameUnary + "1000", mode: load.Unary, callers: 1000},
	{name: nameNoopUnary + "1000", noop: true, mode: load.Unary, callers: 1000},
}

func names() []string {
	all := make([]string, len(contestants))
	for i := range contestants {
		all[i] = contestants[i].name
	}
	return all
}

// matching returns the names that begin so.
func matching(prefix string) []string {
	return slices.DeleteFunc(names(), func(name string) bool { return !strings.HasPrefix(name, prefix) })
}

// chosen returns the contestants that take part.
func (c *Config) chosen() []contestant {
	only := c.only()
	return slices.DeleteFunc(slices.Clone(contestants), func(k contestant) bool {
		return only != nil && !slices.ContainsFunc(only, func(prefix string) bool { return strings.HasPrefix(k.name, prefix) })
	})
}

func (b *bench) naive(ctx context.Context) (load.Result, error) {
	n, err := newNaive(ctx, b.database.pool)
	if err != nil {
		return load.Result{}, err
	}
	return n.run(ctx, b.cfg.Duration)
}

// copyAlone is how many rows a second of copy's turn has where no stream ran
// before it.
const copyAlone = 60_000

func (b *bench) copy(ctx context.Context) (load.Result, error) {
	plan, rows := b.streamed.plan, b.streamed.rows
	if plan == nil {
		plan = &load.Plan{Raffles: []int64{rand.Int64()}, MaxEntries: 1, Seed: rand.Uint64()}
		rows = int64(copyAlone * b.cfg.Duration.Seconds())
	}
	return copyRows(ctx, b.database.pool, plan, rows)
}

// loadConfig returns the settings of a load: the generator's defaults, without
// its provocations.
func (b *bench) loadConfig(k *contestant) load.Config {
	cfg := load.DefaultConfig()
	cfg.Target = b.service.address
	if k.noop {
		cfg.Target = b.noop.address
	}
	cfg.Mode, cfg.Concurrency, cfg.Connections, cfg.Duration = k.mode, k.callers, b.cfg.Connections, b.cfg.Duration
	cfg.RepeatPercent, cfg.GiveUpPercent = 0, 0
	return cfg
}

// enter takes a turn over gRPC, and verifies it.
func (b *bench) enter(ctx context.Context, k *contestant, measure func(func() (load.Result, error)) (load.Result, error)) (load.Result, error) {
	cfg := b.loadConfig(k)
	conns, err := load.Dial(cfg.Target, cfg.Connections)
	if err != nil {
		return load.Result{}, err
	}
	defer conns.Close()
	session, err := load.Prepare(ctx, cfg, conns)
	if err != nil {
		return load.Result{}, err
	}
	result, err := measure(func() (load.Result, error) { return session.Send(ctx, io.Discard) })
	if err == nil && result.Acknowledged == 0 {
		err = fmt.Errorf("%s: nothing was acknowledged", k.name)
	}
	if err != nil || k.noop {
		return result, err
	}
	if k.mode == load.Stream {
		b.streamed.plan, b.streamed.rows = session.Plan(), result.Acknowledged
	}
	return result, session.Verify(ctx, b.database.server.URL())
}
