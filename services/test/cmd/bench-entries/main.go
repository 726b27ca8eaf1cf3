// Command bench-entries measures how fast participation takes entries, beside
// what bounds it.
package main

import (
	"context"
	"log/slog"
	"os"

	"github.com/rafflecast/rafflecast/services/internal/command"
	"github.com/rafflecast/rafflecast/services/internal/config"
	bench "github.com/rafflecast/rafflecast/services/test/bench/entries"
)

func main() {
	var (
		cfg  bench.Config
		part bench.PartConfig
		log  *slog.Logger
	)
	set := config.NewSet("bench-entries")
	if len(os.Args) > 1 && os.Args[1] == "part" {
		part.Register(set)
	} else {
		cfg.Register(set)
	}
	os.Exit(command.Main("bench-entries", set, &log,
		command.Command{Name: "run", Summary: "measure, and print the results", Run: func(ctx context.Context, _ []string) error {
			return bench.Run(ctx, cfg, os.Stdout, os.Stderr)
		}},
		command.Command{Name: "part", Summary: "internal: a child process of run", Run: func(ctx context.Context, _ []string) error {
			return bench.RunPart(ctx, part, log)
		}},
	))
}
