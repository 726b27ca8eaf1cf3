// Package gateway is the service that streams each raffle's newest odds to
// browsers over Server-Sent Events. It is stateless: any instance serves any
// client with what it hears from NATS.
package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/rafflecast/rafflecast/services/gateway/internal/fanout"
	"github.com/rafflecast/rafflecast/services/gateway/internal/feed"
	"github.com/rafflecast/rafflecast/services/gateway/internal/httpapi"
	"github.com/rafflecast/rafflecast/services/gateway/internal/odds"
	"github.com/rafflecast/rafflecast/services/gateway/web"
	"github.com/rafflecast/rafflecast/services/internal/httpserver"
	"github.com/rafflecast/rafflecast/services/internal/natsconn"
	"github.com/rafflecast/rafflecast/services/internal/ops"
	"github.com/rafflecast/rafflecast/services/internal/telemetry"
)

// headroomBytes are allocated and never touched, so that they take no memory but
// let so much garbage pile up before it is collected. A connection leaves 14 KiB
// of net/http's buffers behind: without this, a storm of them has the collector
// go over all the open ones many times a second, a seventh of the cost. With much
// more, what stays of a connection lies so scattered that it takes 1.1 KB, not 0.7.
const headroomBytes = 16 << 20

// Run serves until ctx ends, then closes its streams evenly over the drain
// window and returns nil. It returns an error where the settings are wrong or a
// listener fails.
func Run(ctx context.Context, cfg Config) error {
	if err := cfg.Validate(); err != nil {
		return err
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	public, private, err := listen(ctx, &cfg)
	if err != nil {
		return err
	}
	defer public.Close()
	defer private.Close()
	traces, err := telemetry.NewTraces(ctx, Service, cfg.Log)
	if err != nil {
		return err
	}
	defer traces.Close(ctx)
	s, err := newService(&cfg, traces)
	if err != nil {
		return err
	}

	headroom := make([]byte, headroomBytes)
	defer runtime.KeepAlive(headroom)

	running, failed := errgroup.WithContext(ctx)
	feeding, stopFeeding := context.WithCancel(context.WithoutCancel(ctx))
	running.Go(func() error { return s.feed.Run(feeding) })
	running.Go(func() error { return s.hub.Run(feeding) })
	running.Go(func() error { return httpserver.Serve(s.http, public) })
	running.Go(func() error { return httpserver.Serve(s.ops, private) })
	running.Go(func() error {
		<-failed.Done()
		s.leave(context.WithoutCancel(ctx))
		stopFeeding()
		return nil
	})
	cfg.Log.Info("gateway is serving", "http", public.Addr().String(), "ops", private.Addr().String())
	if cfg.Started != nil {
		cfg.Started(Addresses{HTTP: public.Addr(), Ops: private.Addr()})
	}
	err = running.Wait()
	cfg.Log.Info("gateway has stopped", "error", err)
	return err
}

// service is what runs.
type service struct {
	cfg     *Config
	feed    *feed.Feed
	hub     *fanout.Hub
	http    *http.Server
	ops     *http.Server
	leaving atomic.Bool
}

func newService(cfg *Config, traces *telemetry.Traces) (*service, error) {
	s := &service{cfg: cfg}
	registry := ops.NewRegistry()
	watched := newMetrics(registry, cfg)
	spans := deliveries{traces.Tracer("github.com/rafflecast/rafflecast/services/gateway")}
	// The feed and the hub know each other only through these.
	s.feed = feed.New(feed.Config{
		APIPrefix: cfg.NATSAPIPrefix,
		NATS:      natsconn.Servers{URL: cfg.NATSURL, CA: cfg.NATSCA, Credentials: cfg.NATSCredentials},
		Out:       func(u *odds.Update) { s.hub.Publish(u) },
		Heard:     watched.heard, Snapshot: watched.snapshot, Log: cfg.Log,
	})
	var err error
	s.hub, err = fanout.NewHub(fanout.Config{
		Spacing:      cfg.ConflationInterval,
		Heartbeat:    cfg.Heartbeat,
		Lifetime:     cfg.Lifetime,
		RetryMin:     cfg.RetryMin,
		RetryMax:     cfg.RetryMax,
		WriteTimeout: cfg.WriteTimeout,
		SendBuffer:   cfg.SendBuffer,
		Newest:       s.feed.Newest,
		Arrived:      func(u *odds.Update) { watched.arrived(u); spans.arrived(u) },
	})
	if err != nil {
		return nil, fmt.Errorf("make the fan-out: %w", err)
	}
	registry.MustRegister(collector{hub: s.hub, feed: s.feed})
	edge, err := s.edge(watched)
	if err != nil {
		return nil, err
	}
	s.http = httpserver.New(edge.Handler(web.Handler(edge.Responder(), edge.CheckRaffle)))
	s.http.ConnContext = fanout.ConnContext
	s.http.MaxHeaderBytes = cfg.MaxHeaderBytes
	s.http.ReadHeaderTimeout = cfg.HeaderTimeout
	s.http.ErrorLog = slog.NewLogLogger(cfg.Log.Handler(), slog.LevelDebug) // what clients do wrong
	s.ops = httpserver.New(ops.Handler(registry, s.ready))
	return s, nil
}

// Bounds of the requests that are forwarded to participation. Its transactions may
// take 10 s, and it refuses calls itself long before so many wait.
const (
	forwardLimit   = 1024
	forwardTimeout = 15 * time.Second
)

func (s *service) edge(watched *metrics) (*httpapi.API, error) {
	participation, errParticipation := s.cfg.participation()
	proxies, errProxies := s.cfg.proxies()
	origins, errOrigins := s.cfg.origins()
	if err := errors.Join(errParticipation, errProxies, errOrigins); err != nil {
		return nil, err // not after Validate
	}
	return httpapi.New(httpapi.Config{
		RetryMin:       s.cfg.RetryMin,
		RetryMax:       s.cfg.RetryMax,
		Participation:  participation,
		ForwardLimit:   forwardLimit,
		ForwardTimeout: forwardTimeout,
		BodyTimeout:    s.cfg.HeaderTimeout,
		MaxRaffles:     s.cfg.MaxRaffles,
		MaxOpen:        s.cfg.maxConnections(),
		MaxPerClient:   s.cfg.MaxConnectionsPerClient,
		Proxies:        proxies,
		Origins:        origins,
		Refused:        watched.refused,
		Log:            s.cfg.Log,
	}, s.feed, s.hub)
}

// ready tells whether new clients should come here.
func (s *service) ready() error {
	switch {
	case s.leaving.Load():
		return errors.New("leaving")
	case !s.feed.Ready():
		return errors.New("no odds yet: NATS was not reached, or has no stream")
	}
	return nil
}

// shutdownTimeout bounds the end of what is not a stream.
const shutdownTimeout = 2 * time.Second

// leave turns new clients away, then closes the streams evenly, then the ports.
func (s *service) leave(ctx context.Context) {
	s.leaving.Store(true)
	time.Sleep(s.cfg.DrainDelay)
	draining, cancel := context.WithTimeout(ctx, s.cfg.DrainWindow+shutdownTimeout)
	defer cancel()
	s.hub.Leave(draining, s.cfg.DrainWindow)
	ending, cancel := context.WithTimeout(ctx, shutdownTimeout)
	defer cancel()
	_ = s.http.Shutdown(ending) // past the deadline, Close cuts what is left
	_ = s.http.Close()
	_ = s.ops.Close()
}
