package participation

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/rafflecast/rafflecast/services/internal/natsconn"
	"github.com/rafflecast/rafflecast/services/internal/telemetry"
	"github.com/rafflecast/rafflecast/services/participation/internal/postgres"
)

// stores are the connections to the database and to NATS.
type stores struct {
	calls   *pgxpool.Pool // for what callers ask, but for entries
	entries *pgxpool.Pool // for the flushers and the sweep
	nats    *nats.Conn
	js      jetstream.JetStream
	// reconnected holds one: NATS was away, and is back.
	reconnected chan struct{}
}

// openStores does not wait for either store.
func openStores(ctx context.Context, cfg *Config, traces *telemetry.Traces) (s *stores, err error) {
	s = &stores{reconnected: make(chan struct{}, 1)}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	if s.calls, err = postgres.Open(ctx, cfg.DatabaseURL, cfg.DatabaseConns, traces); err != nil {
		return nil, err
	}
	// A flusher each, and two for the sweep.
	if s.entries, err = postgres.Open(ctx, cfg.DatabaseURL, cfg.Partitions+2, traces); err != nil {
		return nil, err
	}
	// Entries are taken while NATS is away; their odds are published once it is back.
	s.nats, err = natsconn.Connect(natsconn.Servers{URL: cfg.NATSURL, CA: cfg.NATSCA, Credentials: cfg.NATSCredentials},
		"rafflecast participation", cfg.Log, nats.ReconnectHandler(func(*nats.Conn) {
			cfg.Log.Info("NATS is back")
			select {
			case s.reconnected <- struct{}{}:
			default:
			}
		}))
	if err != nil {
		return nil, err
	}
	if s.js, err = jetstream.New(s.nats); err != nil {
		return nil, fmt.Errorf("open JetStream: %w", err)
	}
	return s, nil
}

// close closes what is open.
func (s *stores) close() {
	if s.nats != nil {
		s.nats.Close()
	}
	for _, pool := range []*pgxpool.Pool{s.entries, s.calls} {
		if pool != nil {
			pool.Close()
		}
	}
}
