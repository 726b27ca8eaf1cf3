// Command gateway streams each raffle's newest odds to browsers.
package main

import (
	"context"
	"os"

	"github.com/rafflecast/rafflecast/services/gateway"
	"github.com/rafflecast/rafflecast/services/internal/command"
	"github.com/rafflecast/rafflecast/services/internal/config"
)

func main() {
	var cfg gateway.Config
	set := config.NewSet(gateway.Service)
	cfg.Register(set.Section(gateway.Service, false))
	cfg.RegisterPeers(set)
	os.Exit(command.Main(gateway.Service, set, &cfg.Log,
		command.Command{Name: "serve", Summary: "serve until SIGINT or SIGTERM", Check: cfg.Validate, Run: func(ctx context.Context, _ []string) error {
			return gateway.Run(ctx, cfg)
		}},
	))
}
