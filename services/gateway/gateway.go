// Package gateway is the service that streams each raffle's newest odds to browsers
// over Server-Sent Events. It is stateless: any instance serves any client with what
// it receives from NATS.
package gateway

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"golang.org/x/sync/errgroup"

	"github.com/rafflecast/rafflecast/services/gateway/internal/cache"
	"github.com/rafflecast/rafflecast/services/gateway/internal/capacity"
	"github.com/rafflecast/rafflecast/services/gateway/internal/course"
	"github.com/rafflecast/rafflecast/services/gateway/internal/fanout"
	"github.com/rafflecast/rafflecast/services/gateway/internal/feed"
	"github.com/rafflecast/rafflecast/services/gateway/internal/handshake"
	"github.com/rafflecast/rafflecast/services/gateway/internal/httpapi"
	"github.com/rafflecast/rafflecast/services/gateway/internal/odds"
	"github.com/rafflecast/rafflecast/services/gateway/web"
	"github.com/rafflecast/rafflecast/services/internal/accept"
	"github.com/rafflecast/rafflecast/services/internal/access"
	"github.com/rafflecast/rafflecast/services/internal/config"
	"github.com/rafflecast/rafflecast/services/internal/httpserver"
	"github.com/rafflecast/rafflecast/services/internal/natsconn"
	"github.com/rafflecast/rafflecast/services/internal/ops"
	"github.com/rafflecast/rafflecast/services/internal/telemetry"
)

// Run serves until ctx ends, then drains its streams over the drain window and
// returns nil. It returns an error if the settings are wrong or a part of the service
// fails.
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
	defer tuneGC(&cfg)()
	err = s.run(ctx, public, private)
	cfg.Log.Info("gateway has stopped", "error", err)
	return err
}

// service is a running gateway.
type service struct {
	cfg      *Config
	cache    *cache.Cache
	hub      *fanout.Hub
	feed     *feed.Feed
	api      *httpapi.API
	http     *http.Server
	ops      *http.Server
	accepted *accept.Bounds
	waiting  atomic.Int64   // connections that were accepted and are not served yet
	tokens   *access.Tokens // nil: none are accepted
	tls      *tls.Config    // nil: none
	courses  course.Recorder
	stopping atomic.Bool
	capacity *capacity.Watch
}

// newService makes the parts of the service: the cache, the hub, which reads from it,
// the feed, which writes to it and publishes to the hub, and the HTTP servers.
func newService(cfg *Config, traces *telemetry.Traces) (_ *service, err error) {
	s := &service{cfg: cfg, cache: cache.New()}
	registry := ops.NewRegistry()
	metrics := newMetrics(registry, cfg)
	spans := deliverySpans{traces.Tracer("github.com/rafflecast/rafflecast/services/gateway"), cfg.Names()}
	if s.hub, err = fanout.NewHub(fanout.Config{
		Cache:              s.cache,
		ConflationInterval: cfg.ConflationInterval,
		Heartbeat:          cfg.Heartbeat,
		Lifetime:           cfg.Lifetime,
		RetryMin:           cfg.RetryMin,
		RetryMax:           cfg.RetryMax,
		WriteTimeout:       cfg.WriteTimeout,
		SendBuffer:         cfg.SendBuffer,
		Delivered:          spans.delivered,
		PassEnded:          metrics.passEnded,
	}); err != nil {
		return nil, fmt.Errorf("make the fan-out: %w", err)
	}
	if s.feed, err = feed.New(feed.Config{
		Connect:       cfg.connectNATS,
		APIPrefix:     cfg.NATSAPIPrefix,
		Names:         cfg.Names(),
		Cache:         s.cache,
		Publish:       s.publish,
		Received:      metrics.received,
		SnapshotTaken: metrics.snapshotTaken,
		CheckFailed:   metrics.failedChecks.Inc,
		OnReady:       cfg.Ready,
		Log:           cfg.Log,
	}); err != nil {
		s.release()
		return nil, err
	}
	s.capacity = s.newCapacity()
	registry.MustRegister(collector{hub: s.hub, feed: s.feed, cache: s.cache, capacity: s.capacity})
	if err := s.secure(); err != nil {
		s.release()
		return nil, err
	}
	if s.api, err = s.newAPI(metrics); err != nil {
		s.release()
		return nil, err
	}
	s.http = httpserver.New(s.api.Handler(web.Handler(s.api.Responder(), s.api.PageSource(&s.courses))))
	s.http.ConnContext = fanout.ConnContext
	s.http.MaxHeaderBytes = cfg.MaxHeaderBytes
	s.http.ReadHeaderTimeout = cfg.HeaderTimeout
	s.http.ErrorLog = httpserver.ErrorLog(cfg.Log)
	// All streams of one browser, or of a proxy, may share a connection.
	s.http.HTTP2 = &http.HTTP2Config{MaxConcurrentStreams: maxStreams}
	proxies, err := cfg.proxies()
	if err != nil { // Validate would have found it
		s.release()
		return nil, err
	}
	s.accepted = accept.New(accept.Config{
		Limit: accept.FilesLimit(), Others: func() int { return s.hub.Open() + int(s.waiting.Load()) }, PerSecond: cfg.NewConnectionsPerClient, Trusted: proxies,
		WriteBuffer: acceptBuffer, Refused: metrics.refusedConnection,
	})
	s.http.ConnState = s.accepted.OnState
	httpserver.LimitIdle(s.http, cfg.MaxIdlePerClient, cfg.Log, metrics.closedIdle.Inc)
	httpserver.AwaitReceived(s.http)
	hosts := httpserver.ParseHosts(config.List(cfg.Hosts), config.IsLoopback(cfg.OpsAddress))
	s.ops = httpserver.New(hosts.Only(ops.Handler(registry, s.ready)))
	s.http.IdleTimeout, s.ops.IdleTimeout = cfg.IdleTimeout, cfg.IdleTimeout
	s.ops.ErrorLog = httpserver.ErrorLog(cfg.Log)
	return s, nil
}

func (s *service) newCapacity() *capacity.Watch {
	return capacity.New(capacity.Config{
		Limit: s.cfg.maxConnections(), FullAt: s.cfg.FullMark, RoomAt: s.cfg.RoomMark, Window: s.cfg.RebalanceWindow,
		Subject: s.cfg.Names().Gateways(), Conn: s.feed.Conn(), Open: s.hub.Open,
		IsTaking: func() bool { return s.available() == nil },
		End:      func(n int) { s.hub.EndOldest(n, time.Second) },
	})
}

func (c *Config) connectNATS(callbacks natsconn.Callbacks) (*nats.Conn, error) {
	servers := natsconn.Servers{URL: c.NATSURL, CA: c.NATSCA, Credentials: c.NATSCredentials}
	return natsconn.Connect(servers, "rafflecast gateway", c.Log, callbacks)
}

// publish notes an update for the page, and sends it to the connections.
func (s *service) publish(u *odds.Update) {
	s.courses.Record(u)
	s.hub.Publish(u)
}

// release closes what a service that will not run has opened: to run until a context
// ends that has ended already does nothing else.
func (s *service) release() {
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	_ = s.hub.Run(ended)
	if s.feed != nil {
		_ = s.feed.Run(ended)
	}
}

// acceptBuffer bounds what the kernel buffers for a client that does not read, in bytes.
// Streams get less.
const acceptBuffer = 64 << 10

// maxStreams is how many requests of one HTTP/2 connection may be under way.
const maxStreams = 1000

// secure makes what the settings say of tokens and TLS.
func (s *service) secure() (err error) {
	if s.cfg.Access.Enabled() {
		if s.tokens, err = access.NewTokens(&s.cfg.Access, s.cfg.Log); err != nil {
			return err
		}
	}
	if s.cfg.TLS.Enabled() {
		s.tls, err = s.cfg.TLS.Server(s.cfg.Log, "h2", "http/1.1")
	}
	return err
}

// Bounds of the requests that are forwarded to participation. Its transactions may
// take 10 s, and it refuses calls itself long before so many wait.
const (
	forwardLimit   = 1024
	forwardTimeout = 15 * time.Second
)

func (s *service) newAPI(metrics *metrics) (*httpapi.API, error) {
	participation, errParticipation := s.cfg.participation()
	proxies, errProxies := s.cfg.proxies()
	origins, errOrigins := s.cfg.origins()
	participationTLS, errTLS := s.cfg.participationTLS(s.cfg.Log)
	if err := errors.Join(errParticipation, errProxies, errOrigins, errTLS); err != nil {
		return nil, err // Validate would have found it
	}
	return httpapi.New(httpapi.Config{
		RetryMin:         s.cfg.RetryMin,
		RetryMax:         s.cfg.RetryMax,
		Participation:    participation,
		ForwardLimit:     forwardLimit,
		ForwardTimeout:   forwardTimeout,
		BodyTimeout:      s.cfg.HeaderTimeout,
		MaxRaffles:       s.cfg.MaxRaffles,
		MaxOpen:          s.cfg.maxConnections(),
		MaxPerClient:     s.cfg.MaxConnectionsPerClient,
		Proxies:          proxies,
		Origins:          origins,
		ChangesPerClient: s.cfg.EntriesPerClient,
		Hosts:            httpserver.ParseHosts(config.List(s.cfg.Hosts), config.IsLoopback(s.cfg.Address)),
		Tokens:           s.tokens,

		ParticipationTLS: participationTLS,
		Refused:          metrics.refused,
		Log:              s.cfg.Log,
	}, s.cache, s.feed, s.hub)
}

// ready returns nil if new clients may come, else why they may not.
func (s *service) ready() error {
	if err := s.available(); err != nil {
		return err
	}
	if !s.capacity.Ready() {
		return errors.New("almost full, and another instance has room")
	}
	return nil
}

// available returns nil if the instance can serve clients, else why it can't.
func (s *service) available() error {
	switch {
	case s.stopping.Load():
		return errors.New("stopping")
	case !s.feed.Ready():
		return errors.New("the odds have not been read from the stream: NATS is unavailable, or has no stream yet")
	}
	return nil
}

// accepting returns what accepts connections of the public port l. Without TLS, plain
// requests for streams do not reach the HTTP server.
func (s *service) accepting(l net.Listener) (net.Listener, error) {
	cfg := handshake.Config{
		Hub: s.hub, Open: s.api.Open, Full: s.accepted.IsFull, Allow: s.accepted.Allows,
		IsFrequent: s.accepted.IsFrequent, Waiting: &s.waiting,
	}
	if s.tls != nil {
		cfg.Open, cfg.IsPaced = nil, s.accepted.IsBounded
	}
	l, err := handshake.Listen(l, cfg)
	if err != nil {
		return nil, err
	}
	return s.accepted.Listen(l), nil
}

// run runs the parts of the service until ctx ends or one of them fails, then stops
// it.
func (s *service) run(ctx context.Context, public, private net.Listener) error {
	public, err := s.accepting(public)
	if err != nil {
		s.release()
		return err
	}
	defer public.Close()
	// The end of ctx is the request to stop: until the streams are drained, the parts go
	// on. failed ends if one of them fails.
	parts, failed := errgroup.WithContext(context.WithoutCancel(ctx))
	untilDrained, drained := context.WithCancel(context.WithoutCancel(ctx))
	defer drained()
	parts.Go(func() error { return s.hub.Run(untilDrained) })
	parts.Go(func() error { return httpserver.ServeTLS(s.http, public, s.tls) })
	parts.Go(func() error { returnMemory(untilDrained, s.hub.Opened, debug.FreeOSMemory); return nil })
	if s.tokens != nil {
		parts.Go(func() error { s.tokens.Run(untilDrained); return nil })
	}
	parts.Go(func() error {
		return httpserver.Serve(s.ops, accept.New(accept.Config{WriteBuffer: acceptBuffer}).Listen(private))
	})
	s.cfg.Log.Info("gateway is serving", "http", public.Addr().String(), "ops", private.Addr().String())
	if s.cfg.Started != nil {
		s.cfg.Started(Addresses{HTTP: public.Addr(), Ops: private.Addr()})
	}
	parts.Go(func() error { return s.feed.Run(untilDrained) }) // after Started, since it may call Ready
	parts.Go(func() error { return s.capacity.Run(untilDrained) })
	parts.Go(func() error {
		select {
		case <-ctx.Done():
			s.awaitDrainDelay(failed)
		case <-failed.Done():
		}
		s.drain(context.WithoutCancel(ctx))
		drained()
		return nil
	})
	return parts.Wait()
}

// awaitDrainDelay turns not ready and waits, so that load balancers notice that no
// new clients may come. If a part of the service has failed, it does not wait.
func (s *service) awaitDrainDelay(failed context.Context) {
	s.stopping.Store(true)
	delay := time.NewTimer(s.cfg.DrainDelay)
	defer delay.Stop()
	select {
	case <-delay.C:
	case <-failed.Done():
	}
}

// shutdownTimeout bounds the end of requests that are not streams.
const shutdownTimeout = 2 * time.Second

// drain refuses new clients, ends the streams evenly over the drain window, and closes
// the ports.
func (s *service) drain(ctx context.Context) {
	s.stopping.Store(true)
	draining, cancel := context.WithTimeout(ctx, s.cfg.DrainWindow+shutdownTimeout)
	defer cancel()
	s.hub.Drain(draining, s.cfg.DrainWindow)
	closing, cancel := context.WithTimeout(ctx, shutdownTimeout)
	defer cancel()
	_ = s.http.Shutdown(closing) // if that takes too long, Close cuts what is left
	_ = s.http.Close()
	_ = s.ops.Close()
}
