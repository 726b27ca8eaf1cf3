// Command rafflecast runs the whole system in one process, puts load on it, watches
// it, and measures it.
package main

import (
	"context"
	"log/slog"
	"os"

	"github.com/rafflecast/rafflecast/services/internal/command"
	"github.com/rafflecast/rafflecast/services/internal/config"
	"github.com/rafflecast/rafflecast/services/standalone"
	"github.com/rafflecast/rafflecast/services/standalone/internal/bench"
	"github.com/rafflecast/rafflecast/services/standalone/internal/load"
	"github.com/rafflecast/rafflecast/services/standalone/internal/watch"
)

// settings are those of the commands; each command has its own.
type settings struct {
	system standalone.Config
	load   load.Config
	close  load.CloseConfig
	watch  watch.Config
	bench  bench.Config
	part   bench.PartConfig
	log    *slog.Logger
}

// register adds the settings of the command that is named first.
func (s *settings) register(set *config.Set, args []string) {
	name := ""
	if len(args) > 1 {
		name = args[1]
	}
	switch name {
	case "load":
		s.load.Register(set)
	case "close":
		s.close.Register(set)
	case "watch":
		s.watch.Register(set)
	case "bench-entries":
		s.bench.Register(set)
	case "bench-part":
		s.part.Register(set)
	default:
		s.system.Register(set)
	}
}

func main() {
	s := settings{system: standalone.Config{Out: os.Stdout}}
	set := config.NewSet("rafflecast")
	s.register(set, os.Args)
	os.Exit(command.Main("rafflecast", set, &s.log,
		command.Command{Name: "serve", Summary: "serve until SIGINT or SIGTERM", Check: s.system.Validate, Run: func(ctx context.Context, _ []string) error {
			s.system.Log = s.log
			return standalone.Run(ctx, s.system)
		}},
		command.Command{Name: "with-postgres", Summary: "run the command after -- with TEST_DATABASE_URL set to a PostgreSQL of its own", Run: func(ctx context.Context, args []string) error {
			s.system.Log = s.log
			return standalone.WithPostgres(ctx, s.system, args)
		}},
		command.Command{Name: "load", Summary: "enter members into raffles of a running service, and verify the entries (settings: rafflecast load --help)", Run: func(ctx context.Context, _ []string) error {
			return load.Run(ctx, s.load, os.Stdout, os.Stderr)
		}},
		command.Command{Name: "watch", Summary: "watch a raffle with many clients until it is closed, and check what each sees (settings: rafflecast watch --help)", Run: func(ctx context.Context, _ []string) error {
			return watch.Run(ctx, s.watch, os.Stdout, os.Stderr)
		}},
		command.Command{Name: "close", Summary: "close a raffle, which ends load --until-closed and watch (settings: rafflecast close --help)", Run: func(ctx context.Context, _ []string) error {
			return load.Close(ctx, s.close, os.Stdout)
		}},
		command.Command{Name: "bench-entries", Summary: "measure how fast entries are taken, against what bounds it (settings: rafflecast bench-entries --help)", Run: func(ctx context.Context, _ []string) error {
			return bench.Run(ctx, s.bench, os.Stdout, os.Stderr)
		}},
		command.Command{Name: "bench-part", Summary: "what bench-entries starts", Run: func(ctx context.Context, _ []string) error {
			return bench.RunPart(ctx, s.part, s.log)
		}},
	))
}
