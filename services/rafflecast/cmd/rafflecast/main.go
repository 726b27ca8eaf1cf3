// Command rafflecast runs the whole system in one process, puts load on it,
// watches it, and finds out what stands between it and its viewers.
package main

import (
	"context"
	"log/slog"
	"os"

	"github.com/rafflecast/rafflecast/services/internal/command"
	"github.com/rafflecast/rafflecast/services/internal/config"
	"github.com/rafflecast/rafflecast/services/rafflecast/internal/doctor"
	"github.com/rafflecast/rafflecast/services/rafflecast/internal/watch"
	"github.com/rafflecast/rafflecast/services/rafflecast/load"
	"github.com/rafflecast/rafflecast/services/rafflecast/standalone"
)

// settings are those of the commands; each command has its own.
type settings struct {
	system standalone.Config
	load   load.Config
	close  load.CloseConfig
	watch  watch.Config
	doctor doctor.Config
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
	case "doctor":
		s.doctor.Register(set)
	case "watch":
		s.watch.Register(set)
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
		command.Command{Name: "load", Summary: "enter members into raffles of a running service, and verify the entries (settings: rafflecast load --help)", Run: func(ctx context.Context, _ []string) error {
			return load.Run(ctx, s.load, os.Stdout, os.Stderr)
		}},
		command.Command{Name: "watch", Summary: "watch a raffle with many clients until it is closed, and check what each sees (settings: rafflecast watch --help)", Run: func(ctx context.Context, _ []string) error {
			return watch.Run(ctx, s.watch, os.Stdout, os.Stderr)
		}},
		command.Command{Name: "doctor", Summary: "diagnose the proxies between browsers and a gateway (settings: rafflecast doctor --help)", Check: s.doctor.Validate, Run: func(ctx context.Context, _ []string) error {
			return doctor.Run(ctx, s.doctor, os.Stdout, os.Stderr)
		}},
		command.Command{Name: "close", Summary: "close a raffle, which ends load --until-closed and watch (settings: rafflecast close --help)", Run: func(ctx context.Context, _ []string) error {
			return load.Close(ctx, s.close, os.Stdout)
		}},
	))
}
