// Package participation is the service that owns raffles and entries. It takes them
// over gRPC and HTTP/JSON, writes them to PostgreSQL, and publishes the odds of each
// raffle that has changed to NATS JetStream.
package participation

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"runtime/debug"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/sync/errgroup"

	"github.com/rafflecast/rafflecast/services/internal/natsconn"
	"github.com/rafflecast/rafflecast/services/internal/telemetry"
	"github.com/rafflecast/rafflecast/services/participation/internal/batch"
	"github.com/rafflecast/rafflecast/services/participation/internal/drawer"
	"github.com/rafflecast/rafflecast/services/participation/internal/outbox"
	"github.com/rafflecast/rafflecast/services/participation/internal/postgres"
	"github.com/rafflecast/rafflecast/services/participation/internal/raffle"
	"github.com/rafflecast/rafflecast/services/participation/internal/scheduler"
)

// drainTimeout bounds the wait for the last odds to be published at the stop.
const drainTimeout = 2 * time.Second

// tracerName names this service as the library that makes its spans.
const tracerName = "github.com/rafflecast/rafflecast/services/participation"

// Run serves until ctx ends. Until the database is ready, calls are answered with
// UNAVAILABLE. When ctx ends, Run finishes the calls in flight, publishes what
// they have changed, and returns nil. It returns an error if the configuration is
// invalid, if the database does not become ready in time, or if a listener fails.
func Run(ctx context.Context, cfg Config) error {
	if err := cfg.Validate(); err != nil {
		return err
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	setGCPercent(cfg.GCPercent)
	listeners, err := listen(ctx, &cfg)
	if err != nil {
		return err
	}
	defer listeners.Close()
	traces, err := telemetry.NewTraces(ctx, Service, cfg.Log)
	if err != nil {
		return err
	}
	defer traces.Close(ctx)
	conns, err := openConnections(ctx, &cfg, traces)
	if err != nil {
		return err
	}
	defer conns.close()

	metrics := newMetrics()
	queue := outbox.NewQueue(cfg.ConflationInterval)
	draws, drawing, err := newDraws(&cfg.DrawSettings, metrics.onDrawFailed)
	if err != nil {
		return err
	}
	store := postgres.New(conns.pool, conns.writePool, queue)
	store.UseDraws(draws)
	store.Comparison = new(raffle.Comparison)
	drawing.Log, drawing.OnDrawn = cfg.Log, metrics.draws.Inc
	store.OnUnreadable = (&unreadableRaffles{log: cfg.Log, count: metrics.unreadable}).report
	s := &service{cfg: &cfg, listeners: listeners, conns: conns, store: store, queue: queue}
	s.watch = newDatabaseWatch(store, cfg.Log)
	s.writer = batch.New(store, batch.Config{
		Partitions: cfg.Partitions, Queue: cfg.Queue, Batch: cfg.Batch, Timeout: cfg.WriteTimeout, Log: cfg.Log, Available: s.watch.ready,
		Tag: store.Tag, OnWritten: s.onWritten(metrics), OnPlaced: metrics.busiest.add, OnRefused: metrics.onRefused, Tracer: traces.Tracer(tracerName),
	})
	s.stream = outbox.NewJetStream(conns.js, cfg.Names(), cfg.Replicas)
	s.stream.Leaver = natsconn.NewLeaver(conns.nats, natsconn.Patience, cfg.Log)
	s.outbox = outbox.New(queue, s.stream, store, outbox.Config{
		OnPublished: metrics.onPublished, OnFailed: metrics.publishFailures.Inc, OnBumped: metrics.versionsBumped.Inc,
		OnRemoved: metrics.rafflesRemoved.Inc, OnDamaged: metrics.damagedMessages.Inc, Comparison: store.Comparison,
		Names: cfg.Names(), Tracer: traces.Tracer(tracerName), Log: cfg.Log,
	})
	s.drawer = drawer.New(store, drawing)
	s.scheduler = scheduler.New(store, cfg.Log, func(e *raffle.ClosingError) { metrics.onDrawFailed(drawer.Reason(e)) })
	s.open = &openRaffles{count: store.CountOpenRaffles, log: cfg.Log}
	metrics.registerGauges(s)
	if s.servers, err = newServers(ctx, &cfg, store, s.writer, s.drawer, s.watch, metrics, traces); err != nil {
		return err
	}
	s.servers.foreign = s.stream.Foreign
	s.watch.onProbed = s.servers.setAvailable
	return s.run(ctx)
}

// onWritten returns what is called with the outcome of each batch.
func (s *service) onWritten(metrics *metrics) func(batch.Outcome) {
	return func(o batch.Outcome) {
		metrics.onWritten(o)
		if o.Failed == 0 {
			s.watch.hasAnswered()
		}
	}
}

// service holds the parts of the service that run, and what they need at the stop.
type service struct {
	cfg       *Config
	listeners *Listeners
	conns     *connections
	store     *postgres.Store
	queue     *outbox.Queue
	writer    *batch.Writer
	drawer    *drawer.Drawer
	scheduler *scheduler.Scheduler
	open      *openRaffles
	stream    *outbox.JetStream
	outbox    *outbox.Outbox
	servers   *servers
	watch     *databaseWatch
}

// run runs the parts until ctx ends or one fails. They stop in three phases, each
// after the one that feeds it has finished: first the servers, which make calls; then
// what writes to the database; then what publishes the odds.
func (s *service) run(ctx context.Context) error {
	log := s.cfg.Log
	writing, stopWriting := newPhase(ctx)
	publishing, stopPublishing := newPhase(ctx)
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		defer stopWriting()
		return s.servers.serve(gctx, s.listeners)
	})
	g.Go(func() error {
		defer stopPublishing()
		if prepared, err := s.prepare(gctx); !prepared {
			return err
		}
		g.Go(func() error {
			s.outbox.Run(publishing, s.conns.reconnected)
			return nil
		})
		var writers sync.WaitGroup
		writers.Go(func() { s.writer.Run(writing) })
		writers.Go(func() { s.scheduler.Run(writing) })
		writers.Go(func() { s.drawer.Run(writing) })
		writers.Go(func() { s.watch.run(writing) })
		writers.Go(func() { s.open.run(writing) })
		writers.Wait()
		s.drain(publishing)
		return nil
	})
	err := g.Wait()
	log.Info("participation has stopped", "error", err)
	return err
}

// prepare waits for the database, and lets calls through once it can be used. Until then
// they are answered with UNAVAILABLE, and /readyz says why. It reports whether calls are let through; if ctx ends before, that is
// no error.
func (s *service) prepare(ctx context.Context) (bool, error) {
	var key []byte
	ready := func(ctx context.Context) (err error) {
		if err = prepareDatabase(ctx, s.cfg, s.conns.pool, s.store); err == nil {
			key, err = s.store.PageTokenKey(ctx)
		}
		if err == nil {
			var identity raffle.DatabaseIdentity
			identity, err = s.store.Identity(ctx)
			s.stream.UseDatabase(identity.ID)
		}
		if err != nil {
			s.watch.waits(err)
		}
		return err
	}
	if err := awaitDatabase(ctx, s.cfg, ready); err != nil {
		if ctx.Err() != nil {
			return false, nil //nolint:nilerr // the service was told to stop while it waited
		}
		return false, err
	}
	if err := s.makeFirstRaffle(ctx); err != nil {
		return false, err
	}
	s.watch.available()
	s.servers.takeCalls(key)
	at := s.listeners.addresses()
	s.cfg.Log.Info("participation is serving", "grpc", at.GRPC.String(), "http", at.HTTP.String(), "ops", at.Ops.String())
	if s.cfg.Started != nil {
		s.cfg.Started(at)
	}
	return true, nil
}

// firstDelay is the time between the closing and the draw of the first raffle: the
// shortest, so that nobody has to wait.
const firstDelay = 10 * time.Second

// makeFirstRaffle makes a raffle if there is none, and if the configuration asks for it.
func (s *service) makeFirstRaffle(ctx context.Context) error {
	if s.cfg.FirstRaffle == "" {
		return nil
	}
	list, err := s.store.List(ctx, 0, 1, 0)
	if err == nil && len(list) == 0 {
		first := raffle.Raffle{Title: s.cfg.FirstRaffle, Winners: 1, MaxEntriesPerMember: 1}
		if s.cfg.DrawKey != "" {
			first.Log = raffle.NewLog(raffle.DrawOptions{Delay: firstDelay}, 1)
		}
		_, err = s.store.Create(ctx, first, raffle.RequestID{})
	}
	if err != nil {
		return fmt.Errorf("first raffle: %w", err)
	}
	return nil
}

// newPhase returns the context of one phase of the stop. It outlives ctx: it ends when
// end is called, which the phase before does once it has finished.
func newPhase(ctx context.Context) (phase context.Context, end context.CancelFunc) {
	return context.WithCancel(context.WithoutCancel(ctx))
}

// drain waits a moment for the last odds to be published. Another instance publishes
// what remains.
func (s *service) drain(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, drainTimeout)
	defer cancel()
	if err := s.queue.Drain(ctx); err != nil {
		s.cfg.Log.Warn("stopping although odds wait to be published: another instance will do it", "error", err)
	}
}

// setGCPercent lets the garbage collector run less often than by default. The service
// keeps little and allocates much: a heap that is some tens of MiB larger saves a fifth
// of its CPU time. The setting holds for the whole process. The environment variable
// GOGC takes precedence, and 0 leaves Go's default.
func setGCPercent(percent int) {
	if percent != 0 && os.Getenv("GOGC") == "" {
		debug.SetGCPercent(percent)
	}
}

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

// awaitDatabase retries ready every second until it succeeds or cfg.StartTimeout
// elapses. It fails with the last error of ready.
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

func prepareDatabase(ctx context.Context, cfg *Config, pool *pgxpool.Pool, store *postgres.Store) error {
	if cfg.Migrate {
		if err := postgres.Migrate(ctx, pool); err != nil {
			return err
		}
	}
	return store.Check(ctx)
}
