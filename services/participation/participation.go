// Package participation is the service that owns raffles and entries: it takes
// them over gRPC, writes them to PostgreSQL, and publishes each raffle's new
// odds to NATS JetStream.
package participation

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/sync/errgroup"

	"github.com/rafflecast/rafflecast/services/internal/telemetry"
	"github.com/rafflecast/rafflecast/services/participation/internal/batch"
	"github.com/rafflecast/rafflecast/services/participation/internal/outbox"
	"github.com/rafflecast/rafflecast/services/participation/internal/postgres"
	"github.com/rafflecast/rafflecast/services/participation/internal/scheduler"
)

// Run serves until ctx ends, then finishes what is under way and returns nil. It
// returns an error where the settings are wrong, the database is not there in
// time, or a listener fails.
func Run(ctx context.Context, cfg Config) error {
	if err := cfg.Validate(); err != nil {
		return err
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	listeners, err := listen(ctx, &cfg)
	if err != nil {
		return err
	}
	defer listeners.close()
	traces, err := telemetry.NewTraces(ctx, Service, cfg.Log)
	if err != nil {
		return err
	}
	defer traces.Close(ctx)
	stores, err := openStores(ctx, &cfg, traces)
	if err != nil {
		return err
	}
	defer stores.close()

	watched := newMetrics()
	pub := outbox.New(outbox.NewJetStream(stores.js, cfg.Replicas), outbox.Config{
		Stored: watched.stored, Failed: watched.failed, Raised: watched.raised,
		Tracer: traces.Tracer(tracing), Log: cfg.Log,
	})
	store := postgres.New(stores.calls, stores.entries, pub.Publish)
	ready := func(ctx context.Context) error { return prepare(ctx, &cfg, stores.calls, store) }
	if err := awaitDatabase(ctx, &cfg, ready); err != nil {
		return err
	}
	writer := batch.New(store, batch.Config{
		Lanes: cfg.Partitions, Queue: cfg.Queue, Batch: cfg.Batch, Timeout: cfg.WriteTimeout, Log: cfg.Log,
		Wrote: watched.wrote, Refused: watched.busy, Tracer: traces.Tracer(tracing),
	})
	watched.watch(&cfg, writer, pub, stores)
	edge, err := newServers(ctx, &cfg, store, writer, watched, traces)
	if err != nil {
		return err
	}

	// Each layer stops after the one that feeds it: calls, entries, odds.
	callsEnd, entriesEnd := newStage(ctx), newStage(ctx)
	running, failed := errgroup.WithContext(ctx)
	running.Go(func() error {
		defer callsEnd.done()
		return edge.serve(failed, listeners)
	})
	running.Go(func() error {
		defer entriesEnd.done()
		writer.Run(callsEnd.ctx)
		flushOdds(callsEnd.ctx, pub)
		return nil
	})
	running.Go(func() error { pub.Run(entriesEnd.ctx); return nil })
	running.Go(func() error { pub.Repair(entriesEnd.ctx, store, stores.reconnected); return nil })
	running.Go(func() error { scheduler.Run(entriesEnd.ctx, store, pub, cfg.Log); return nil })
	cfg.Log.Info("participation is serving", "grpc", listeners.grpc.Addr().String(), "http", listeners.http.Addr().String(), "ops", listeners.ops.Addr().String())
	if cfg.Started != nil {
		cfg.Started(Addresses{GRPC: listeners.grpc.Addr(), HTTP: listeners.http.Addr(), Ops: listeners.ops.Addr()})
	}
	err = running.Wait()
	cfg.Log.Info("participation has stopped", "error", err)
	return err
}

// tracing is the name by which our own spans tell who made them.
const tracing = "github.com/rafflecast/rafflecast/services/participation"

// Migrate waits for the database, brings its schema up to date, and returns.
func Migrate(ctx context.Context, cfg Config) error {
	if err := cfg.Validate(); err != nil {
		return err
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	pool, err := postgres.Open(ctx, cfg.DatabaseURL, cfg.DatabaseConns, nil)
	if err != nil {
		return err
	}
	defer pool.Close()
	if err := awaitDatabase(ctx, &cfg, pool.Ping); err != nil {
		return err
	}
	return postgres.Migrate(ctx, pool)
}

// stage is a context that ends when the layer before is done.
type stage struct {
	ctx  context.Context //nolint:containedctx // it is what a stage is
	done context.CancelFunc
}

func newStage(ctx context.Context) stage {
	ctx, done := context.WithCancel(context.WithoutCancel(ctx))
	return stage{ctx, done}
}

// awaitDatabase waits until ready says that the database is.
func awaitDatabase(ctx context.Context, cfg *Config, ready func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, cfg.StartTimeout)
	defer cancel()
	for {
		err := ready(ctx)
		if err == nil {
			return nil
		}
		cfg.Log.Warn("waiting for the database", "error", err)
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
			return fmt.Errorf("the database was not ready within %v: %w", cfg.StartTimeout, err)
		}
	}
}

func prepare(ctx context.Context, cfg *Config, pool *pgxpool.Pool, store *postgres.Store) error {
	if cfg.Migrate {
		if err := postgres.Migrate(ctx, pool); err != nil {
			return err
		}
	}
	return store.Check(ctx)
}

// flushOdds gives the last odds a moment to be published; what remains, any
// instance's sweep publishes.
func flushOdds(ctx context.Context, pub *outbox.Publisher) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	for pub.Waiting() > 0 {
		select {
		case <-time.After(5 * time.Millisecond):
		case <-ctx.Done():
			return
		}
	}
}
