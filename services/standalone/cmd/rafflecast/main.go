// Command rafflecast runs the whole system in one process, and puts load on it.
package main

import (
	"context"
	"log/slog"
	"os"

	"github.com/rafflecast/rafflecast/services/internal/command"
	"github.com/rafflecast/rafflecast/services/internal/config"
	"github.com/rafflecast/rafflecast/services/standalone"
	"github.com/rafflecast/rafflecast/services/standalone/internal/load"
)

func main() {
	var (
		system = standalone.Config{Out: os.Stdout}
		loaded load.Config
		log    *slog.Logger
	)
	set := config.NewSet("rafflecast")
	// The load generator has settings of its own, and none of the services'.
	if len(os.Args) > 1 && os.Args[1] == "load" {
		loaded.Register(set)
	} else {
		system.Register(set)
	}
	os.Exit(command.Main("rafflecast", set, &log,
		command.Command{Name: "serve", Summary: "serve until SIGINT or SIGTERM", Run: func(ctx context.Context, _ []string) error {
			system.Log = log
			return standalone.Run(ctx, system)
		}},
		command.Command{Name: "with-postgres", Summary: "run the command after -- with TEST_DATABASE_URL set to a PostgreSQL of its own", Run: func(ctx context.Context, args []string) error {
			system.Log = log
			return standalone.WithPostgres(ctx, system, args)
		}},
		command.Command{Name: "load", Summary: "enter members into raffles of a running service, and verify the entries (see: rafflecast load --help)", Run: func(ctx context.Context, _ []string) error {
			return load.Run(ctx, loaded, os.Stdout, os.Stderr)
		}},
	))
}
