// Command bench-entries measures how fast participation takes entries, beside
// what bounds it.
package main

import (
	"context"
	"log/slog"
	"os"
	"runtime/debug"

	"github.com/rafflecast/rafflecast/services/internal/command"
	bench "github.com/rafflecast/rafflecast/services/test/bench/entries"
)

// commands are the commands of the program.
type commands struct {
	Run  run  `cmd:"" help:"Measure, and print the results."`
	Part part `cmd:"" hidden:"" help:"Run one part of the benchmark: a child process of run."`
}

type run struct {
	Config bench.Config `embed:""`
}

// Run runs the command.
func (r *run) Run(ctx context.Context) error {
	return bench.Run(ctx, r.Config, os.Stdout, os.Stderr)
}

type part struct {
	Config bench.PartConfig `embed:""`
}

// Run runs the command.
func (p *part) Run(ctx context.Context, log *slog.Logger) error {
	return bench.RunPart(ctx, p.Config, log)
}

func main() {
	// The client and the no-op server collect garbage as seldom as the service does by
	// default, so that the ratios compare their work and not their collectors.
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(400)
	}
	os.Exit(command.Main("bench-entries", "Measures how fast participation takes entries, beside what bounds it.", &commands{}))
}
