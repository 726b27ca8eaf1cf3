package participation

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/rafflecast/rafflecast/services/internal/natsconn"
	"github.com/rafflecast/rafflecast/services/internal/telemetry"
	"github.com/rafflecast/rafflecast/services/participation/internal/batch"
	"github.com/rafflecast/rafflecast/services/participation/internal/postgres"
)

// writeConns is how many connections of the write pool are not for partitions: one is
// for the scheduler, one for the outbox, one for the probe, and the rest wait for raffles
// that are locked.
const writeConns = 3 + batch.Lanes

// connections are those to the database and to NATS.
type connections struct {
	pool      *pgxpool.Pool // for all calls but Enter
	writePool *pgxpool.Pool // for the batch writer, the scheduler and the outbox
	nats      *nats.Conn
	js        jetstream.JetStream
	// reconnected has capacity 1. It holds a value if NATS was unavailable and is back.
	reconnected chan struct{}
}

// openConnections prepares the connections. It waits for neither the database nor
// NATS: entries are taken while NATS is unavailable, and their odds are published once
// it is back.
func openConnections(ctx context.Context, cfg *Config, traces *telemetry.Traces) (_ *connections, err error) {
	c := &connections{reconnected: make(chan struct{}, 1)}
	defer func() {
		if err != nil {
			c.close()
		}
	}()
	if c.pool, err = postgres.Open(ctx, cfg.DatabaseURL, cfg.DatabaseConns, traces); err != nil {
		return nil, err
	}
	if c.writePool, err = postgres.Open(ctx, cfg.DatabaseURL, cfg.Partitions+writeConns, traces); err != nil {
		return nil, err
	}
	servers := natsconn.Servers{URL: cfg.NATSURL, CA: cfg.NATSCA, Credentials: cfg.NATSCredentials}
	const name = "rafflecast participation"
	c.nats, err = natsconn.Connect(servers, name, cfg.Log, natsconn.Callbacks{OnReconnect: func() {
		select {
		case c.reconnected <- struct{}{}:
		default:
		}
	}})
	if err != nil {
		return nil, err
	}
	if c.js, err = jetstream.New(c.nats); err != nil {
		return nil, fmt.Errorf("open JetStream: %w", err)
	}
	return c, nil
}

// close closes the connections that are open.
func (c *connections) close() {
	if c.nats != nil {
		c.nats.Close()
	}
	for _, pool := range []*pgxpool.Pool{c.writePool, c.pool} {
		if pool != nil {
			pool.Close()
		}
	}
}
