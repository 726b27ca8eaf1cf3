// Command participation takes entries over gRPC and publishes the odds.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/rafflecast/rafflecast/services/internal/command"
	"github.com/rafflecast/rafflecast/services/internal/config"
	"github.com/rafflecast/rafflecast/services/participation"
)

func main() {
	var cfg participation.Config
	set := config.NewSet(participation.Service)
	cfg.Register(set.Section(participation.Service, false))
	cfg.RegisterStores(set)
	os.Exit(command.Main(participation.Service, set, &cfg.Log,
		command.Command{Name: "serve", Summary: "serve until SIGINT or SIGTERM", Check: cfg.Validate, Run: func(ctx context.Context, _ []string) error {
			return participation.Run(ctx, cfg)
		}},
		command.Command{Name: "migrate", Summary: "bring the database's schema up to date", Check: cfg.Validate, Run: func(ctx context.Context, _ []string) error {
			if err := participation.Migrate(ctx, cfg); err != nil {
				return err
			}
			fmt.Println("the database's schema is up to date")
			return nil
		}},
	))
}
