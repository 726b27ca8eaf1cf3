package participation

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/test/bufconn"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
	"github.com/rafflecast/rafflecast/services/internal/accept"
	"github.com/rafflecast/rafflecast/services/internal/access"
	"github.com/rafflecast/rafflecast/services/internal/config"
	"github.com/rafflecast/rafflecast/services/internal/httpserver"
	"github.com/rafflecast/rafflecast/services/internal/ops"
	"github.com/rafflecast/rafflecast/services/internal/telemetry"
	"github.com/rafflecast/rafflecast/services/participation/internal/batch"
	"github.com/rafflecast/rafflecast/services/participation/internal/drawer"
	"github.com/rafflecast/rafflecast/services/participation/internal/grpcapi"
	"github.com/rafflecast/rafflecast/services/participation/internal/httpapi"
	"github.com/rafflecast/rafflecast/services/participation/internal/postgres"
)

// servers are the servers on the ports.
type servers struct {
	grpc            *grpc.Server
	inMemory        *bufconn.Listener // on which the HTTP/JSON facade reaches the gRPC server
	facadeConn      *grpc.ClientConn
	http            *http.Server
	ops             *http.Server
	grpcBounds      *accept.Bounds
	httpBounds      *accept.Bounds
	tokens          *access.Tokens // nil: none are accepted
	httpTLS         *tls.Config    // nil: none
	health          *health.Server
	availability    *grpcapi.Availability
	stopping        chan struct{} // closed when the stop begins
	foreign         func() error  // the stream of odds belongs to another database
	shutdownTimeout time.Duration

	watch        *databaseWatch
	prepared     chan struct{} // closed when the database can be used
	pageTokenKey []byte        // set before prepared is closed
}

const (
	// inMemoryBuffer is how many bytes are under way between the facade and the gRPC
	// server.
	inMemoryBuffer = 1 << 20
	// readTimeout bounds the reading of a request to the facade, whose body is small.
	readTimeout = 10 * time.Second
	// acceptBuffer bounds what the kernel buffers for an HTTP client that does not read, in
	// bytes.
	acceptBuffer = 64 << 10
)

// connectionsLimit returns how many connections of one port may be open.
func connectionsLimit(setting int) int {
	if files := accept.FilesLimit() / 3; files > 0 && (setting == 0 || files < setting) {
		return files // the rest is for the other ports and the connections to the stores
	}
	return setting
}

func newServers(ctx context.Context, cfg *Config, store *postgres.Store, writer *batch.Writer, drawer *drawer.Drawer, watch *databaseWatch,
	metrics *metrics, traces *telemetry.Traces,
) (s *servers, err error) {
	s = &servers{
		health: health.NewServer(), stopping: make(chan struct{}), inMemory: bufconn.Listen(inMemoryBuffer),
		shutdownTimeout: cfg.StopTimeout, watch: watch, prepared: make(chan struct{}),
		availability: &grpcapi.Availability{OnAnswered: watch.hasAnswered},
	}
	s.setServing(false)
	secured, err := newSecured(cfg)
	if err != nil {
		return nil, err
	}
	s.tokens, s.httpTLS = secured.tokens, secured.http
	guard := grpcapi.NewGuard(connectionsLimit(cfg.MaxConnections), cfg.MaxConnectionsPerClient)
	guard.OnBanned = func(address netip.Addr, lasts time.Duration) {
		cfg.Log.Warn("an address is banned, because it has sent a flood of HTTP/2 frames", "address", address.String(), "for", lasts.String())
	}
	s.grpcBounds = accept.New(accept.Config{
		PerSecond: cfg.NewConnectionsPerClient, Refuse: guard.Refuse, Refused: metrics.refusedConnection,
		Failed: func(err error) { cfg.Log.Error("the gRPC server can't accept connections", "error", err) },
	})
	s.httpBounds = accept.New(accept.Config{
		Limit: connectionsLimit(cfg.MaxConnections), PerSecond: cfg.NewConnectionsPerClient, WriteBuffer: acceptBuffer,
		Refused: metrics.refusedConnection,
	})
	if s.grpc, err = grpcapi.NewServer(store, writer, grpcapi.Config{
		Drawer: drawer,
		Access: secured.access, TLS: secured.grpc,
		Guard:            guard,
		EntriesPerMember: cfg.EntriesPerMember, EntriesPerClient: cfg.EntriesPerClient,
		Health: s.health, Stopping: s.stopping, MaxConnectionAge: cfg.MaxConnectionAge,
		MaxConnectionIdle: cfg.IdleTimeout, Keepalive: cfg.Keepalive,
		Ready: s.prepared, Availability: s.availability, PageTokenKey: func() []byte { return s.pageTokenKey },
		Registry: metrics.registry, Traces: traces, Log: cfg.Log,
	}); err != nil {
		return nil, err
	}
	s.facadeConn, err = grpc.NewClient("passthrough:///facade",
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return s.inMemory.DialContext(ctx) }),
		grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return nil, fmt.Errorf("connect the JSON facade: %w", err)
	}
	hosts := config.List(cfg.Hosts)
	facade, err := httpapi.New(ctx, s.facadeConn, httpserver.ParseHosts(hosts, config.IsLoopback(cfg.HTTPAddress)), cfg.Log)
	if err != nil {
		return nil, err
	}
	s.http = httpserver.New(facade)
	s.http.ReadTimeout, s.http.ErrorLog = readTimeout, httpserver.ErrorLog(cfg.Log)
	s.http.ConnState = s.httpBounds.OnState
	httpserver.LimitIdle(s.http, cfg.MaxIdlePerClient, cfg.Log, metrics.closedIdle.Inc)
	httpserver.AwaitReceived(s.http)
	s.ops = httpserver.New(httpserver.ParseHosts(hosts, config.IsLoopback(cfg.OpsAddress)).Only(ops.Handler(metrics.registry, s.ready)))
	s.ops.ErrorLog = httpserver.ErrorLog(cfg.Log)
	s.http.IdleTimeout, s.ops.IdleTimeout = cfg.IdleTimeout, cfg.IdleTimeout
	return s, nil
}

// takeCalls lets calls through from now on.
func (s *servers) takeCalls(pageTokenKey []byte) {
	s.pageTokenKey = pageTokenKey
	close(s.prepared)
	s.setServing(true)
}

// setAvailable says why the database is unavailable, or with nil that it is available.
func (s *servers) setAvailable(cause error) {
	s.availability.Set(cause)
	s.setServing(cause == nil)
}

// setServing sets the health of the whole server and of each service by its name.
// https://grpc.io/docs/guides/health-checking/
func (s *servers) setServing(serving bool) {
	status := healthv1.HealthCheckResponse_NOT_SERVING
	if serving {
		status = healthv1.HealthCheckResponse_SERVING
	}
	for _, service := range []string{
		"", rafflev1.RaffleService_ServiceDesc.ServiceName, rafflev1.ParticipationService_ServiceDesc.ServiceName,
		rafflev1.AuditService_ServiceDesc.ServiceName,
	} {
		s.health.SetServingStatus(service, status)
	}
}

// ready is what /readyz reports: the service takes calls from when the database was
// prepared until it stops, except after seconds without the database, and unless it is
// configured to publish into the stream of another database. A restart or a
// failover of the database is shorter: then callers get UNAVAILABLE with a retry delay,
// and no instance leaves the load balancer. An instance that alone is cut off leaves it,
// and its callers reach the others. Whether NATS is available makes no difference.
func (s *servers) ready() error {
	select {
	case <-s.stopping:
		return errors.New("stopping")
	default:
	}
	return cmp.Or(s.watch.ready(), s.foreign())
}

// serve serves on l until ctx ends or a server fails. Then it refuses new calls, lets
// those in flight finish for at most shutdownTimeout, and returns.
func (s *servers) serve(ctx context.Context, l *Listeners) error {
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error { return ignoreStopped(s.grpc.Serve(s.grpcBounds.Listen(l.grpc))) })
	g.Go(func() error { return ignoreStopped(s.grpc.Serve(s.inMemory)) })
	g.Go(func() error { return httpserver.ServeTLS(s.http, s.httpBounds.Listen(l.http), s.httpTLS) })
	untilStopped, stopped := context.WithCancel(context.WithoutCancel(ctx))
	if s.tokens != nil {
		g.Go(func() error { s.tokens.Run(untilStopped); return nil })
	}
	g.Go(func() error {
		return httpserver.Serve(s.ops, accept.New(accept.Config{WriteBuffer: acceptBuffer}).Listen(l.ops))
	})
	g.Go(func() error {
		<-gctx.Done()
		s.stop(context.WithoutCancel(ctx))
		stopped()
		return nil
	})
	return g.Wait()
}

func (s *servers) stop(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, s.shutdownTimeout)
	defer cancel()
	close(s.stopping)
	s.health.Shutdown() // NOT_SERVING, whatever the database does from here on
	// Both stop at the same time, so that neither waits for slow clients of the other.
	var stopped sync.WaitGroup
	stopped.Go(func() {
		_ = s.http.Shutdown(ctx)
		_ = s.http.Close() // cuts what Shutdown did not finish in time
	})
	stopped.Go(func() {
		cut := context.AfterFunc(ctx, s.grpc.Stop)
		defer cut()
		s.grpc.GracefulStop()
	})
	stopped.Wait()
	_ = s.facadeConn.Close()
	_ = s.ops.Close()
}

// ignoreStopped returns err, or nil if it is what a gRPC server returns that was stopped
// before it began.
func ignoreStopped(err error) error {
	if errors.Is(err, grpc.ErrServerStopped) {
		return nil
	}
	return err
}
