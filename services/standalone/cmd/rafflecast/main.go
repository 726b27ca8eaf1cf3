// Command rafflecast runs the whole system in one process.
package main

import (
	"context"
	"os"

	"github.com/rafflecast/rafflecast/services/internal/command"
	"github.com/rafflecast/rafflecast/services/internal/config"
	"github.com/rafflecast/rafflecast/services/standalone"
)

func main() {
	cfg := standalone.Config{Out: os.Stdout}
	set := config.NewSet("rafflecast")
	cfg.Register(set)
	os.Exit(command.Main("rafflecast", set, &cfg.Log,
		command.Command{Name: "serve", Summary: "serve until SIGINT or SIGTERM", Run: func(ctx context.Context, _ []string) error {
			return standalone.Run(ctx, cfg)
		}},
		command.Command{Name: "with-postgres", Summary: "run the command after -- with TEST_DATABASE_URL set to a PostgreSQL of its own", Run: func(ctx context.Context, args []string) error {
			return standalone.WithPostgres(ctx, cfg, args)
		}},
	))
}
