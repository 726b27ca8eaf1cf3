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
	"github.com/rafflecast/rafflecast/services/internal/natsconn"
	"github.com/rafflecast/rafflecast/services/participation"
	"github.com/rafflecast/rafflecast/services/rafflecast/localnats"
	"github.com/rafflecast/rafflecast/services/rafflecast/localpg"
)

// Config configures the system.
type Config struct {
	DataDir     string `name:"data-dir" env:"DATA_DIR" default:".data" form:"a directory" help:"Directory in which PostgreSQL and NATS keep their data. It is created if it is missing."`
	DatabaseURL string `name:"database-url" env:"DATABASE_URL" secret:"" form:"the URL or the keywords of a PostgreSQL 14 or newer" help:"Database to use. Without it, a PostgreSQL is started that keeps its data in --data-dir."`

	Participation participation.Settings `embed:"" prefix:"participation-" group:"Participation:" set:"participation_migrate=true"`
	// The drain window is short, because there is no other instance for clients to
	// move to.
	Gateway gateway.Settings `embed:"" prefix:"gateway-" group:"Gateway:" set:"gateway_drain_window=1s"`

	Log *slog.Logger `kong:"-"`
	Out io.Writer    `kong:"-"` // the welcome is written to it
	// Started, if set, is called once, when everything is ready.
	Started func(gateway.Addresses, participation.Addresses) `kong:"-"`
}

// Validate returns everything that is wrong with the settings.
func (c *Config) Validate() error { return config.Validate(c) }

// Run serves until ctx ends, then stops part after part, within 10 s.
func Run(ctx context.Context, cfg Config) (err error) {
	if err := cfg.Validate(); err != nil {
		return err
	}
	// The ports first: if one is taken, nothing is started for nothing.
	ports, err := listen(ctx, &cfg)
	if err != nil {
		return err
	}
	defer ports.close()
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
		if cfg.DatabaseURL != "" {
			return nil
		}
		if postgres, err = startPostgres(startCtx, dir, cfg.Log); err != nil {
			return err
		}
		cfg.DatabaseURL = postgres.URL()
		return nil
	})
	err = starting.Wait()
	defer func() { err = errors.Join(err, stopStores(ctx, nats, postgres)) }()
	if err != nil {
		return err
	}
	return serve(ctx, cfg, ports, nats.URL(), postgres)
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
	if postgres == nil {
		return nil
	}
	return postgres.Stop(ctx)
}

// serve runs both services on the stores.
func serve(ctx context.Context, cfg Config, ports *ports, natsURL string, postgres *localpg.Server) error {
	database := "the one of DATABASE_URL"
	if postgres != nil {
		database = "psql '" + postgres.URL() + "'"
	}
	running, ctx := errgroup.WithContext(ctx)
	started := make(chan participation.Addresses, 1)
	nats := natsconn.ServerSettings{NATSURL: natsURL}
	running.Go(func() error {
		return participation.Run(ctx, participation.Config{
			Database: participation.Database{DatabaseURL: cfg.DatabaseURL}, ServerSettings: nats, Settings: cfg.Participation,
			Listeners: ports.participation, Log: cfg.Log,
			Started: func(a participation.Addresses) { started <- a },
		})
	})
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
		return gateway.Run(ctx, gateway.Config{
			ServerSettings: nats, Peers: gateway.Peers{ParticipationURL: "http://" + entries.HTTP.String()}, Settings: cfg.Gateway,
			Listeners: ports.gateway, Log: cfg.Log,
			Started: func(front gateway.Addresses) {
				running.Go(func() error { return welcome(ctx, cfg, database, front, entries) })
			},
		})
	})
	if postgres != nil {
		running.Go(func() error { return watch(ctx, postgres) })
	}
	return running.Wait()
}

// watch returns an error when PostgreSQL ends by itself.
func watch(ctx context.Context, postgres *localpg.Server) error {
	select {
	case <-ctx.Done():
		return nil
	case <-postgres.Done():
		return postgres.Err()
	}
}
