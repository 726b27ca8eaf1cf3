// Command gateway streams each raffle's newest odds to browsers, and finds out
// what stands in the way of that.
package main

import (
	"context"
	"log/slog"
	"os"

	"github.com/rafflecast/rafflecast/services/gateway"
	"github.com/rafflecast/rafflecast/services/gateway/internal/doctor"
	"github.com/rafflecast/rafflecast/services/internal/command"
	"github.com/rafflecast/rafflecast/services/internal/config"
)

func main() {
	var cfg gateway.Config
	var examination doctor.Config
	var log *slog.Logger
	set := config.NewSet(gateway.Service)
	if len(os.Args) > 1 && os.Args[1] == "doctor" {
		examination.Register(set)
	} else {
		cfg.Register(set.Section(gateway.Service, false))
		cfg.RegisterPeers(set)
	}
	os.Exit(command.Main(gateway.Service, set, &log,
		command.Command{Name: "serve", Summary: "serve until SIGINT or SIGTERM", Check: cfg.Validate, Run: func(ctx context.Context, _ []string) error {
			cfg.Log = log
			return gateway.Run(ctx, cfg)
		}},
		command.Command{Name: "doctor", Summary: "doctor URL: what of the way to this public address harms streams (settings: gateway doctor --help)", Check: examination.Validate, Run: func(ctx context.Context, _ []string) error {
			return doctor.Run(ctx, examination, os.Stdout, os.Stderr)
		}},
	))
}
