package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/rafflecast/rafflecast/services/rafflecast/localpg"
)

// stopTimeout bounds how long PostgreSQL, and the command once it is interrupted, may
// take to stop.
const stopTimeout = 10 * time.Second

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

// Run runs the command and returns its error.
func (r *run) Run(ctx context.Context, log *slog.Logger) (err error) {
	databaseURL := r.DatabaseURL
	if databaseURL == "" {
		postgres, errStart := r.startPostgres(ctx, log)
		if errStart != nil {
			return errStart
		}
		defer func() {
			stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
			defer cancel()
			err = errors.Join(err, postgres.Stop(stopping))
		}()
		databaseURL = postgres.URL()
	}
	cmd := exec.CommandContext(ctx, r.Command[0], r.Command[1:]...) //nolint:gosec // the user names it
	cmd.Env = append(os.Environ(), "TEST_DATABASE_URL="+databaseURL)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = stopTimeout
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w", r.Command[0], err)
	}
	return nil
}

func (r *run) startPostgres(ctx context.Context, log *slog.Logger) (*localpg.Server, error) {
	dir, err := filepath.Abs(r.DataDir)
	if err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	binaries, err := localpg.Find(ctx, localpg.FindOptions{CacheDir: filepath.Join(dir, "cache"), Log: log})
	if err != nil {
		return nil, err
	}
	return localpg.StartTemp(ctx, localpg.Config{Binaries: binaries, Log: log})
}
