// Command with-postgres runs another command with TEST_DATABASE_URL set to a
// PostgreSQL of its own.
package main

import (
	"context"
	"log/slog"
	"os"

	"github.com/rafflecast/rafflecast/services/internal/command"
	"github.com/rafflecast/rafflecast/services/rafflecast/standalone"
)

// commands are the commands of the program.
type commands struct {
	Run run `cmd:"" help:"Run a command with TEST_DATABASE_URL set to a PostgreSQL that lives as long as the command."`
}

type run struct {
	DataDir     string   `name:"data-dir" env:"DATA_DIR" default:".data" form:"a directory" help:"Directory whose cache/ keeps the programs of PostgreSQL, if they had to be fetched."`
	DatabaseURL string   `name:"database-url" env:"DATABASE_URL" secret:"" form:"the URL of a PostgreSQL" help:"Database to use. Without it, a PostgreSQL is started that keeps nothing."`
	Command     []string `arg:"" name:"command" form:"a command with its arguments, after --" help:"Command to run."`
}

// Help returns the details of the command's help.
func (*run) Help() string {
	return `Example:

    with-postgres run --log-level=warn -- go test ./...`
}

// Run runs the command.
func (r *run) Run(ctx context.Context, log *slog.Logger) error {
	return standalone.WithPostgres(ctx, standalone.Config{DataDir: r.DataDir, DatabaseURL: r.DatabaseURL, Log: log}, r.Command)
}

func main() {
	os.Exit(command.Main("with-postgres", "Runs a command with a PostgreSQL of its own.", &commands{}))
}
