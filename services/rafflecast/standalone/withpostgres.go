package standalone

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/rafflecast/rafflecast/services/rafflecast/localpg"
)

// WithPostgres runs a command with TEST_DATABASE_URL set: to cfg.DatabaseURL, or
// to a PostgreSQL that lives as long as the command and keeps nothing. It
// returns the command's error.
func WithPostgres(ctx context.Context, cfg Config, args []string) (failed error) {
	if len(args) == 0 {
		return errors.New("no command: give one after --")
	}
	if cfg.DatabaseURL == "" {
		postgres, err := tempPostgres(ctx, cfg)
		if err != nil {
			return err
		}
		defer func() { failed = errors.Join(failed, stopStores(ctx, nil, postgres)) }()
		cfg.DatabaseURL = postgres.URL()
	}
	cmd := exec.CommandContext(ctx, args[0], args[1:]...) //nolint:gosec // running it is what was asked for
	cmd.Env = append(os.Environ(), "TEST_DATABASE_URL="+cfg.DatabaseURL)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w", args[0], err)
	}
	return nil
}

func tempPostgres(ctx context.Context, cfg Config) (*localpg.Server, error) {
	dir, err := filepath.Abs(cfg.DataDir)
	if err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	binaries, err := localpg.Find(ctx, localpg.FindOptions{CacheDir: filepath.Join(dir, "cache"), Log: cfg.Log})
	if err != nil {
		return nil, err
	}
	return localpg.StartTemp(ctx, localpg.Config{Binaries: binaries, Log: cfg.Log})
}
