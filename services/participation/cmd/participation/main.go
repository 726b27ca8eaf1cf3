// Command participation takes entries over gRPC and publishes the odds.
package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"

	"github.com/rafflecast/rafflecast/services/internal/command"
	"github.com/rafflecast/rafflecast/services/participation"
)

// commands are the commands of the program.
type commands struct {
	Serve   serve   `cmd:"" help:"Serve until SIGINT or SIGTERM."`
	Migrate migrate `cmd:"" help:"Bring the database's schema up to date, then exit."`
}

type serve struct {
	Config participation.Config `embed:""`
}

// Help returns the details of the command's help.
func (*serve) Help() string {
	return `Example:

    participation serve --database-url=postgres://127.0.0.1/rafflecast --migrate

Traces are sent if OpenTelemetry's variables say where, for example
OTEL_EXPORTER_OTLP_ENDPOINT=http://collector:4318.`
}

// Run runs the command.
func (s *serve) Run(ctx context.Context, log *slog.Logger) error {
	command.LogStart(log, participation.Service)
	participation.RedirectGRPCLog(log)
	s.Config.Log = log
	return participation.Run(ctx, s.Config)
}

type migrate struct {
	Database participation.Database `embed:""`
	Startup  participation.Startup  `embed:""`
}

// Help returns the details of the command's help.
func (*migrate) Help() string {
	return "Instances of the service may run meanwhile. Behind PgBouncer, name PostgreSQL itself: a lock of the session is held."
}

// Run runs the command.
func (m *migrate) Run(ctx context.Context, log *slog.Logger) error {
	cfg := participation.DefaultConfig()
	cfg.Database, cfg.Startup, cfg.Log = m.Database, m.Startup, log
	if err := participation.Migrate(ctx, cfg); err != nil {
		return err
	}
	fmt.Println("the database's schema is up to date")
	return nil
}

func main() {
	os.Exit(command.Main(participation.Service, "Takes entries over gRPC, writes them to PostgreSQL and publishes the odds to NATS.", &commands{}))
}
