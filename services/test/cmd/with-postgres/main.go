// Command with-postgres runs another command with TEST_DATABASE_URL set to a
// PostgreSQL of its own.
package main

import (
	"context"
	"os"

	"github.com/rafflecast/rafflecast/services/internal/command"
	"github.com/rafflecast/rafflecast/services/internal/config"
	"github.com/rafflecast/rafflecast/services/rafflecast/standalone"
)

func main() {
	var cfg standalone.Config
	set := config.NewSet("with-postgres")
	cfg.Register(set)
	os.Exit(command.Main("with-postgres", set, &cfg.Log,
		command.Command{Name: "run", Summary: "run the command after -- with TEST_DATABASE_URL set to a PostgreSQL of its own", Run: func(ctx context.Context, args []string) error {
			return standalone.WithPostgres(ctx, cfg, args)
		}},
	))
}
