// Package gateway is the service that streams each raffle's newest odds to
// browsers over Server-Sent Events. It is stateless: any instance serves any
// client with what it hears from NATS.
package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/rafflecast/rafflecast/services/gateway/internal/api"
	"github.com/rafflecast/rafflecast/services/gateway/internal/fanout"
	"github.com/rafflecast/rafflecast/services/gateway/internal/feed"
	"github.com/rafflecast/rafflecast/services/gateway/web"
	"github.com/rafflecast/rafflecast/services/internal/ops"
)

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
	s, err := newService(&cfg)
	if err != nil {
		return err
	}

	running, failed := errgroup.WithContext(ctx)
	feeding, stopFeeding := context.WithCancel(context.WithoutCancel(ctx))
	running.Go(func() error { return s.feed.Run(feeding) })
	running.Go(func() error { return notClosed(s.http.Serve(public)) })
	running.Go(func() error { return notClosed(s.ops.Serve(private)) })
	running.Go(func() error {
		<-failed.Done()
		s.leave(context.WithoutCancel(ctx))
		stopFeeding()
		return nil
	})
	cfg.Log.Info("gateway is serving", "http", public.Addr(), "ops", private.Addr())
	if cfg.Started != nil {
		cfg.Started(Addresses{HTTP: public.Addr(), Ops: private.Addr()})
	}
	err = running.Wait()
	cfg.Log.Info("gateway has stopped", "error", err)
	return err
}

func listen(ctx context.Context, cfg *Config) (public, private net.Listener, err error) {
	public, errPublic := cfg.section.Listen(ctx, "address", cfg.Address)
	private, errPrivate := cfg.section.Listen(ctx, "ops-address", cfg.OpsAddress)
	if err := errors.Join(errPublic, errPrivate); err != nil {
		for _, l := range []net.Listener{public, private} {
			if l != nil {
				_ = l.Close()
			}
		}
		return nil, nil, err
	}
	return public, private, nil
}

// service is what runs.
type service struct {
	cfg     *Config
	feed    *feed.Feed
	api     *api.API
	http    *http.Server
	ops     *http.Server
	leaving atomic.Bool
}

func newService(cfg *Config) (*service, error) {
	participation, err := cfg.participation()
	if err != nil {
		return nil, fmt.Errorf("participation URL: %w", err)
	}
	s := &service{cfg: cfg}
	hub := fanout.NewHub(cfg.Spacing)
	s.feed = feed.New(feed.Config{URL: cfg.NATSURL, Out: hub.Publish, Log: cfg.Log})
	s.api = api.New(api.Config{
		Heartbeat:     cfg.Heartbeat,
		Lifetime:      cfg.Lifetime,
		RetryMin:      cfg.RetryMin,
		RetryMax:      cfg.RetryMax,
		WriteTimeout:  cfg.WriteTimeout,
		Participation: participation,
	}, s.feed, hub)
	s.http = ops.NewServer(s.api.Handler(web.Handler()))
	s.http.ErrorLog = slog.NewLogLogger(cfg.Log.Handler(), slog.LevelDebug) // what clients do wrong
	registry := ops.NewRegistry()
	registry.MustRegister(
		gauge("rafflecast_streams", "Open streams.", s.api.Streams),
		gauge("rafflecast_raffles_known", "Raffles whose odds are known.", s.feed.Size),
	)
	s.ops = ops.NewServer(ops.Handler(registry, s.ready))
	return s, nil
}

func gauge(name, help string, value func() int) prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, func() float64 { return float64(value()) })
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
	s.api.Leave(draining, s.cfg.DrainWindow)
	ending, cancel := context.WithTimeout(ctx, shutdownTimeout)
	defer cancel()
	_ = s.http.Shutdown(ending) // past the deadline, Close cuts what is left
	_ = s.http.Close()
	_ = s.ops.Close()
}

func notClosed(err error) error {
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}
