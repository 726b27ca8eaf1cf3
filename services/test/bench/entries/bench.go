//go:build unix

package bench

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/rafflecast/rafflecast/services/rafflecast/load"
)

// bench is one run of the benchmark.
type bench struct {
	cfg      Config
	out      io.Writer
	log      io.Writer
	database *database
	nats     *process
	service  *process
	noop     *process
	// streamed is what the last stream placed, for copy.
	streamed struct {
		plan *load.Plan
		rows int64
	}
	turns map[string][]turn // by contestant, in the order of rounds
}

// turn is what a contestant achieved in a round.
type turn struct {
	load.Result
	used usage
}

// Run measures everything and writes the result to out, and what it is doing to
// log. It fails where the settings are wrong, a part does not start, or rows
// differ from what was acknowledged.
func Run(ctx context.Context, cfg Config, out, log io.Writer) error {
	if err := cfg.Validate(); err != nil {
		return err
	}
	dir, err := makeDir(cfg.Dir)
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // nothing is left to be done about it
	b := &bench{cfg: cfg, out: out, log: log, turns: map[string][]turn{}}
	defer b.stop(ctx)
	if err := b.start(ctx, dir); err != nil {
		return err
	}
	if err := b.describe(ctx); err != nil {
		return err
	}
	for round := 1; round <= cfg.Rounds; round++ {
		for _, k := range cfg.chosen() {
			if err := b.turn(ctx, round, &k); err != nil {
				return fmt.Errorf("%s: %w", k.name, err)
			}
		}
	}
	memory, err := b.memory(ctx)
	if err != nil {
		return fmt.Errorf("memory test: %w", err)
	}
	b.report(memory)
	return nil
}

// makeDir makes a directory for this run that the account of PostgreSQL can
// enter, which is another one where this process is root's.
func makeDir(parent string) (string, error) {
	dir, err := os.MkdirTemp(parent, "rafflecast-bench-")
	if err != nil {
		return "", err
	}
	return dir, os.Chmod(dir, 0o711) //nolint:gosec // as said; what matters inside has mode 0700
}

func (b *bench) start(ctx context.Context, dir string) (err error) {
	fmt.Fprintln(b.log, "starting PostgreSQL, NATS, the service and the no-op server")
	if b.database, err = startDatabase(ctx, &b.cfg, dir); err != nil {
		return err
	}
	if b.nats, err = b.cfg.startPart(ctx, "--part="+partNATS, "--store-dir="+filepath.Join(dir, "nats")); err != nil {
		return err
	}
	if b.service, err = b.cfg.startPart(ctx, "--part="+partService, "--database-url="+b.database.server.URL(), "--nats-url="+b.nats.address); err != nil {
		return err
	}
	if b.noop, err = b.cfg.startPart(ctx, "--part="+partNoop); err != nil {
		return err
	}
	fmt.Fprintf(b.log, "operations of the service: http://%s/debug/pprof/, of the no-op server: http://%s/debug/pprof/\n", b.service.ops, b.noop.ops)
	return b.database.makeTables(ctx)
}

func (b *bench) stop(ctx context.Context) {
	b.service.stop()
	b.noop.stop()
	b.nats.stop()
	b.database.stop(ctx)
}

// turn lets one contestant take its turn.
func (b *bench) turn(ctx context.Context, round int, k *contestant) error {
	if err := b.database.settle(ctx); err != nil {
		return err
	}
	server := 0
	if k.run == nil {
		server = b.service.pid()
		if k.noop {
			server = b.noop.pid()
		}
	}
	var t turn
	measure := func(run func() (load.Result, error)) (load.Result, error) {
		defer b.profile(ctx, k)()
		before := b.usage(server)
		result, err := run()
		t.used = b.usage(server).since(before)
		return result, err
	}
	var err error
	if k.run != nil {
		t.Result, err = measure(func() (load.Result, error) { return k.run(b, ctx) })
	} else {
		t.Result, err = b.enter(ctx, k, measure)
	}
	if err != nil {
		return err
	}
	b.turns[k.name] = append(b.turns[k.name], t)
	fmt.Fprintf(b.log, "round %d  %-16s %8.0f entries/s\n", round, k.name, t.Rate())
	return nil
}
