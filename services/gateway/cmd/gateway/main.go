// Command gateway streams each raffle's newest odds to browsers.
package main

import (
	"context"
	"log/slog"
	"os"

	"github.com/rafflecast/rafflecast/services/gateway"
	"github.com/rafflecast/rafflecast/services/internal/command"
)

// commands are the commands of the program.
type commands struct {
	Serve serve `cmd:"" help:"Serve until SIGINT or SIGTERM."`
}

type serve struct {
	Config gateway.Config `embed:""`
}

// Help returns the details of the command's help.
func (*serve) Help() string {
	return `Example:

    gateway serve --nats-url=nats://127.0.0.1:4222 --participation-url=http://127.0.0.1:9080

Traces are sent if OpenTelemetry's variables say where, for example
OTEL_EXPORTER_OTLP_ENDPOINT=http://collector:4318.`
}

// Run runs the command.
func (s *serve) Run(ctx context.Context, log *slog.Logger) error {
	command.LogStart(log, gateway.Service)
	s.Config.Log = log
	return gateway.Run(ctx, s.Config)
}

func main() {
	os.Exit(command.Main(gateway.Service, "Streams each raffle's newest odds to browsers.", &commands{}))
}
