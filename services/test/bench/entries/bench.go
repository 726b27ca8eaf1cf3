//go:build unix

package bench

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"

	"github.com/rafflecast/rafflecast/services/rafflecast/load"
	"github.com/rafflecast/rafflecast/services/test/bench/internal/measure"
)

// bench is one run of the benchmark.
type bench struct {
	cfg      Config
	out      io.Writer
	log      io.Writer
	database *database
	service  *part
	secured  *part // the service with tokens; nil if no workload takes part that calls it
	tokens   *tokens
	noop     *part
	cleanup  []func()
	// streamed is what the last stream placed, which copy copies.
	streamed struct {
		plan *load.Plan
		rows int64
	}
	turns map[string][]turn // by workload, in the order of rounds
}

// turn is what a workload achieved in a round.
type turn struct {
	result load.Result
	used   usage
}

// Run measures everything. It writes the report to out, and what it is doing to
// log. It returns an error if a setting is wrong, a part does not start, or rows
// differ from what was acknowledged.
func Run(ctx context.Context, cfg Config, out, log io.Writer) error {
	if err := cfg.Validate(); err != nil {
		return err
	}
	b := &bench{cfg: cfg, out: out, log: log, turns: map[string][]turn{}}
	defer b.stop()
	if err := b.start(ctx); err != nil {
		return err
	}
	if err := b.describe(ctx); err != nil {
		return err
	}
	for round := 1; round <= cfg.Rounds; round++ {
		for _, w := range turnsOf(round, cfg.chosen()) {
			if err := b.takeTurn(ctx, round, &w); err != nil {
				return fmt.Errorf("%s: %w", w.name, err)
			}
		}
	}
	var memory *memoryUse
	if cfg.Million > 0 {
		var err error
		if memory, err = b.measureMemory(ctx); err != nil {
			return fmt.Errorf("memory test: %w", err)
		}
	}
	var draws *drawUse
	if cfg.Tickets > 0 {
		var err error
		if draws, err = b.measureDraw(ctx); err != nil {
			return fmt.Errorf("draw: %w", err)
		}
	}
	b.report(memory, draws)
	return nil
}

// makeDir makes a directory for this run. PostgreSQL must be able to enter it, which
// runs under another account if this process is root's.
func makeDir(parent string) (string, error) {
	dir, err := os.MkdirTemp(parent, "rafflecast-bench-")
	if err != nil {
		return "", err
	}
	return dir, os.Chmod(dir, 0o711) //nolint:gosec // what matters inside has mode 0700
}

func (b *bench) start(ctx context.Context) error {
	dir, err := makeDir(b.cfg.Dir)
	if err != nil {
		return err
	}
	b.cleanup = append(b.cleanup, func() { _ = os.RemoveAll(dir) })
	fmt.Fprintln(b.log, "starting PostgreSQL, NATS, the service and the no-op server")
	if b.database, err = startDatabase(ctx, &b.cfg, dir); err != nil {
		return err
	}
	b.cleanup = append(b.cleanup, func() { b.database.stop(ctx) })
	nats, err := b.startPart(ctx, "--part="+partNATS, "--store-dir="+filepath.Join(dir, "nats"))
	if err != nil {
		return err
	}
	key := filepath.Join(dir, "signing.key")
	if err := makeSigningKey(key); err != nil {
		return err
	}
	if b.service, err = b.startPart(
		ctx,
		"--part="+partService,
		"--database-url="+b.database.server.URL(),
		"--nats-url="+nats.address,
		"--participation-draw-key="+key,
	); err != nil {
		return err
	}
	if slices.ContainsFunc(b.cfg.chosen(), func(w workload) bool { return w.secured }) {
		if err := b.startSecured(ctx, dir, "--database-url="+b.database.server.URL(), "--nats-url="+nats.address); err != nil {
			return err
		}
	}
	if b.noop, err = b.startPart(ctx, "--part="+partNoop); err != nil {
		return err
	}
	fmt.Fprintf(
		b.log,
		"profiles of the service: http://%s/debug/pprof/, of the no-op server: http://%s/debug/pprof/\n",
		b.service.ops,
		b.noop.ops,
	)
	return b.database.makeTables(ctx)
}

// startSecured starts the service with tokens, which works on the same stores.
func (b *bench) startSecured(ctx context.Context, dir string, stores ...string) (err error) {
	if b.tokens, err = makeTokens(dir); err != nil {
		return err
	}
	b.secured, err = b.startPart(ctx, append([]string{
		"--part=" + partService, "--auth-jwks=" + b.tokens.jwks, "--auth-issuer=" + tokenIssuer,
	}, stores...)...)
	return err
}

func (b *bench) stop() {
	for len(b.cleanup) > 0 {
		last := len(b.cleanup) - 1
		b.cleanup[last]()
		b.cleanup = b.cleanup[:last]
	}
}

// part is a process that runs one part of the benchmark.
type part struct {
	pid     int
	address string
	ops     string // the address of its operations port
}

func (b *bench) startPart(ctx context.Context, args ...string) (*part, error) {
	command, err := b.cfg.program()
	if err != nil {
		return nil, err
	}
	command = append(append(command[:len(command):len(command)], args...), "--log-level=warn")
	child, err := measure.Start(ctx, command, (*exec.Cmd).Start)
	if err != nil {
		return nil, err
	}
	b.cleanup = append(b.cleanup, child.Stop)
	if len(child.Ready) != 2 {
		return nil, fmt.Errorf("%v is ready with %q", args, child.Ready)
	}
	return &part{pid: child.PID(), address: child.Ready[0], ops: child.Ready[1]}, nil
}

// takeTurn lets one workload take its turn.
func (b *bench) takeTurn(ctx context.Context, round int, w *workload) error {
	if err := b.database.checkpoint(ctx); err != nil {
		return err
	}
	var t turn
	server := b.serverOf(w)
	measured := func(run func() (load.Result, error)) (err error) {
		defer b.profile(ctx, w)()
		before := b.usage(server)
		t.result, err = run()
		t.used = b.usage(server).since(before)
		return err
	}
	var err error
	if w.run != nil {
		err = measured(func() (load.Result, error) { return w.run(b, ctx) })
	} else {
		err = b.enter(ctx, w, measured)
	}
	if err != nil {
		return err
	}
	b.turns[w.name] = append(b.turns[w.name], t)
	fmt.Fprintf(b.log, "round %d  %-16s %8.0f entries/s\n", round, w.name, t.result.Rate())
	return nil
}

// serverOf returns the server that a workload calls, nil if it calls none.
func (b *bench) serverOf(w *workload) *part {
	switch {
	case w.run != nil:
		return nil
	case w.noop:
		return b.noop
	case w.secured:
		return b.secured
	}
	return b.service
}
