// Package standalone runs the whole system in one process: both services, a NATS
// server, and a PostgreSQL that it supervises.
package standalone

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/rafflecast/rafflecast/services/gateway"
	"github.com/rafflecast/rafflecast/services/internal/access"
	"github.com/rafflecast/rafflecast/services/internal/config"
	"github.com/rafflecast/rafflecast/services/internal/natsconn"
	"github.com/rafflecast/rafflecast/services/participation"
	"github.com/rafflecast/rafflecast/services/rafflecast/internal/connect"
	"github.com/rafflecast/rafflecast/services/rafflecast/internal/demo"
	"github.com/rafflecast/rafflecast/services/rafflecast/internal/filelock"
)

// Config configures the system.
type Config struct {
	DataDir     string `name:"data-dir" env:"DATA_DIR" default:".data" form:"a directory" help:"Directory in which PostgreSQL and NATS keep their data. It is created if it is missing."`
	DatabaseURL string `name:"database-url" env:"DATABASE_URL" secret:"" form:"the URL or the keywords of a PostgreSQL 14 or newer" help:"Database to use. Without it, a PostgreSQL is started that keeps its data in --data-dir."`

	Demo bool `name:"demo" env:"DEMO" help:"Keep some raffles alive that members enter all the time: one that stays open, and short ones that open, close and are drawn, two minutes each. It creates 700 raffles at most, about a day's."`

	Participation participation.Settings `embed:"" prefix:"participation-" group:"Participation:" set:"participation_migrate=true"`
	// The drain window is short, because there is no other instance for clients to
	// move to.
	Gateway gateway.Settings `embed:"" prefix:"gateway-" group:"Gateway:" set:"gateway_drain_window=1s"`

	Access access.Settings `embed:"" group:"Access:"`

	Log *slog.Logger `kong:"-"`
	Out io.Writer    `kong:"-"` // the welcome is written to it
}

// Validate returns everything that is wrong with the settings.
func (c *Config) Validate() error { return config.Validate(c) }

// Rules implements config.Rules.
func (c *Config) Rules(check *config.Checks) {
	c.Participation.CheckClosed(check, &c.Access)
	c.Gateway.CheckClosed(check, &c.Access)
	check.That(!c.Demo || !c.Access.Enabled(), &c.Demo, "left out if callers are authenticated: the demo has no token")
}

// Run serves until ctx ends, then stops the services and the stores, within 10 s.
func Run(ctx context.Context, cfg Config) (err error) {
	if err := cfg.Validate(); err != nil {
		return err
	}
	// The ports come first: if one is taken, nothing else needs to start.
	ports, err := listen(ctx, &cfg)
	if err != nil {
		return err
	}
	defer ports.close()
	dir, unlock, err := openDataDir(ctx, cfg.DataDir)
	if err != nil {
		return err
	}
	defer unlock()
	stores, err := startStores(ctx, dir, cfg.DatabaseURL, cfg.Participation.DrawKey == "", cfg.Log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stores.stop(ctx)) }()
	if d := stores.draws; d != nil {
		cfg.Participation.DrawSettings = participation.DrawSettings{DrawKey: d.KeyFile(), DrawChains: d.ChainFile(), DrawRelays: d.URL()}
	}
	return serve(ctx, &cfg, ports, stores)
}

// lockTimeout is how long a process that was just killed may hold its lock.
const lockTimeout = 500 * time.Millisecond

// openDataDir makes the data directory if it is missing, and locks it until unlock is
// called or the process ends.
func openDataDir(ctx context.Context, name string) (dir string, unlock func(), err error) {
	if dir, err = filepath.Abs(name); err != nil {
		return "", nil, fmt.Errorf("data directory: %w", err)
	}
	// PostgreSQL runs as another user; its own directory is private.
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // see above
		return "", nil, fmt.Errorf("data directory (--data-dir): %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, lockTimeout)
	defer cancel()
	lock, err := filelock.Open(ctx, filepath.Join(dir, "lock"))
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return "", nil, fmt.Errorf("another run uses %s: stop it, or choose another directory with --data-dir", dir)
	}
	if err != nil {
		return "", nil, fmt.Errorf("data directory (--data-dir): %w", err)
	}
	return dir, func() { _ = lock.Close() }, nil
}

// serve runs both services on the stores until ctx ends or one of them fails.
func serve(ctx context.Context, cfg *Config, ports *ports, stores *stores) error {
	g, gctx := errgroup.WithContext(ctx)
	servers := natsconn.ServerSettings{NATSURL: stores.nats.URL()}
	started := make(chan participation.Addresses, 1)
	g.Go(func() error {
		return participation.Run(gctx, participation.Config{
			Database: participation.Database{
				DatabaseURL: stores.databaseURL,
			},
			ServerSettings: servers,
			Settings:       cfg.Participation,
			Access:         cfg.Access,
			FirstRaffle:    firstRaffle,
			Listeners:      ports.participation,
			Log:            cfg.Log,
			Started:        func(at participation.Addresses) { started <- at },
		})
	})
	g.Go(func() error {
		select {
		case at := <-started:
			if cfg.Demo {
				g.Go(func() error { return demo.Run(gctx, demoService(cfg, at), demo.DefaultTimes(), cfg.Log) })
			}
			return serveGateway(gctx, cfg, ports, stores, at)
		case <-gctx.Done():
			return nil
		}
	})
	g.Go(func() error { return stores.awaitFailure(gctx) })
	return g.Wait()
}

// demoService says how the demo calls participation.
func demoService(cfg *Config, participation participation.Addresses) connect.Service {
	service := connect.Service{Target: participation.GRPC.String()}
	if cfg.Participation.TLS.Enabled() {
		service.Credentials.CA = cfg.Participation.TLS.Certificate
	}
	return service
}

// serveGateway runs the gateway, and writes the welcome once the gateway is ready.
func serveGateway(
	ctx context.Context,
	cfg *Config,
	ports *ports,
	stores *stores,
	participation participation.Addresses,
) error {
	var at gateway.Addresses
	return gateway.Run(ctx, gateway.Config{
		ServerSettings: natsconn.ServerSettings{NATSURL: stores.nats.URL()},
		Peers:          peers(cfg, participation),
		Access:         cfg.Access,
		Settings:       cfg.Gateway, Listeners: ports.gateway, Log: cfg.Log,
		Started: func(a gateway.Addresses) { at = a },
		Ready:   func() { writeWelcome(cfg, stores, at, participation) },
	})
}

// peers says how the gateway reaches participation. With TLS, it trusts the certificate
// that participation has, which must be valid for the address.
func peers(cfg *Config, participation participation.Addresses) gateway.Peers {
	if !cfg.Participation.TLS.Enabled() {
		return gateway.Peers{ParticipationURL: "http://" + participation.HTTP.String()}
	}
	return gateway.Peers{ParticipationURL: "https://" + participation.HTTP.String(), ParticipationCA: cfg.Participation.TLS.Certificate}
}
