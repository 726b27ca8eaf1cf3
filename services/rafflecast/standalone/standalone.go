// Package standalone runs the whole system in one process, with a NATS server
// inside and a PostgreSQL that it supervises: for trying it, and for tests.
package standalone

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/rafflecast/rafflecast/services/gateway"
	"github.com/rafflecast/rafflecast/services/internal/config"
	"github.com/rafflecast/rafflecast/services/participation"
	"github.com/rafflecast/rafflecast/services/rafflecast/localnats"
	"github.com/rafflecast/rafflecast/services/rafflecast/localpg"
)

// Config is all that can be told. Fill it from flags and environment variables
// with Register.
type Config struct {
	DataDir       string // where the stores keep their data between runs
	DatabaseURL   string // a PostgreSQL to use instead of an own one
	Participation participation.Config
	Gateway       gateway.Config
	Log           *slog.Logger
	Out           io.Writer // where to greet
	// Started, where set, is called once, when everything is ready.
	Started func(gateway.Addresses, participation.Addresses)
}

// Register adds every setting to set.
func (c *Config) Register(set *config.Set) {
	set.String(&c.DataDir, "data-dir", "DATA_DIR", ".data", "directory in which PostgreSQL and NATS keep their data")
	set.String(&c.DatabaseURL, "database-url", "DATABASE_URL", "", "use this PostgreSQL, not an own one")
	c.Participation.Register(set.Section(participation.Service, true))
	c.Gateway.Register(set.Section(gateway.Service, true))
	set.Default("participation-migrate", "true")
	// There is no other instance to which clients should move evenly.
	set.Default("gateway-drain-window", "1s")
}

// Validate returns everything that is wrong with the settings.
func (c *Config) Validate() error {
	p, g := c.Participation, c.Gateway
	// Where the stores are is known once they run.
	p.DatabaseURL, p.NATSURL, g.NATSURL = "later", "later", "later"
	return errors.Join(p.Validate(), g.Validate())
}

// Run serves until ctx ends, then stops part after part, within 10 s.
func Run(ctx context.Context, cfg Config) (err error) {
	if err := cfg.Validate(); err != nil {
		return err
	}
	// Before anything is started for nothing.
	if err := errors.Join(cfg.Participation.CheckPorts(ctx), cfg.Gateway.CheckPorts(ctx)); err != nil {
		return err
	}
	dir, err := filepath.Abs(cfg.DataDir)
	if err != nil {
		return fmt.Errorf("data directory: %w", err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // PostgreSQL runs as another user; its own directory is private
		return fmt.Errorf("data directory (--data-dir): %w", err)
	}
	unlock, err := lock(dir)
	if err != nil {
		return err
	}
	defer unlock()
	var nats *localnats.Server
	var postgres *localpg.Server
	starting, startCtx := errgroup.WithContext(ctx)
	starting.Go(func() (err error) {
		nats, err = localnats.Start(startCtx, filepath.Join(dir, "nats"), cfg.Log)
		return err
	})
	starting.Go(func() (err error) {
		if cfg.DatabaseURL == "" {
			postgres, err = startPostgres(startCtx, dir, cfg.Log)
			cfg.DatabaseURL = postgres.URL()
		}
		return err
	})
	err = starting.Wait()
	defer func() { err = errors.Join(err, stopStores(ctx, nats, postgres)) }()
	if err != nil {
		return err
	}
	return serve(ctx, cfg, nats.URL(), postgres)
}

func startPostgres(ctx context.Context, dir string, log *slog.Logger) (*localpg.Server, error) {
	binaries, err := localpg.Find(ctx, localpg.FindOptions{CacheDir: filepath.Join(dir, "cache"), Log: log})
	if err != nil {
		return nil, err
	}
	return localpg.Start(ctx, localpg.Config{Binaries: binaries, Dir: filepath.Join(dir, "postgres"), Log: log})
}

func stopStores(ctx context.Context, nats *localnats.Server, postgres *localpg.Server) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if nats != nil {
		nats.Stop()
	}
	return postgres.Stop(ctx)
}

// serve runs both services on the stores.
func serve(ctx context.Context, cfg Config, natsURL string, postgres *localpg.Server) error {
	database := "the one of DATABASE_URL"
	if postgres != nil {
		database = "psql '" + postgres.URL() + "'"
	}
	running, ctx := errgroup.WithContext(ctx)
	started := make(chan participation.Addresses, 1)
	cfg.Participation.DatabaseURL, cfg.Participation.NATSURL, cfg.Participation.Log = cfg.DatabaseURL, natsURL, cfg.Log
	cfg.Participation.Started = func(a participation.Addresses) { started <- a }
	running.Go(func() error { return participation.Run(ctx, cfg.Participation) })
	running.Go(func() error {
		var entries participation.Addresses
		select {
		case entries = <-started:
		case <-ctx.Done():
			return nil
		}
		if err := makeFirstRaffle(ctx, entries.GRPC.String()); err != nil {
			return err
		}
		cfg.Gateway.NATSURL, cfg.Gateway.Log = natsURL, cfg.Log
		cfg.Gateway.ParticipationURL = "http://" + entries.HTTP.String()
		cfg.Gateway.Started = func(front gateway.Addresses) {
			running.Go(func() error { return welcome(ctx, cfg, database, front, entries) })
		}
		return gateway.Run(ctx, cfg.Gateway)
	})
	running.Go(func() error { return watch(ctx, postgres) })
	return running.Wait()
}

// watch ends everything where PostgreSQL ends by itself.
func watch(ctx context.Context, postgres *localpg.Server) error {
	select {
	case <-ctx.Done():
		return nil
	case <-postgres.Done(): // never, where there is none
		return fmt.Errorf("PostgreSQL has ended: %w", postgres.Err())
	}
}
