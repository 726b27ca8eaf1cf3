package participation

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/test/bufconn"

	"github.com/rafflecast/rafflecast/services/internal/ops"
	"github.com/rafflecast/rafflecast/services/internal/telemetry"
	"github.com/rafflecast/rafflecast/services/participation/internal/batch"
	"github.com/rafflecast/rafflecast/services/participation/internal/grpcapi"
	"github.com/rafflecast/rafflecast/services/participation/internal/httpapi"
	"github.com/rafflecast/rafflecast/services/participation/internal/postgres"
)

// listeners are the service's ports.
type listeners struct{ grpc, http, ops net.Listener }

func listen(ctx context.Context, cfg *Config) (l listeners, err error) {
	var errs [3]error
	l.grpc, errs[0] = cfg.section.Listen(ctx, "grpc-address", cfg.GRPCAddress)
	l.http, errs[1] = cfg.section.Listen(ctx, "http-address", cfg.HTTPAddress)
	l.ops, errs[2] = cfg.section.Listen(ctx, "ops-address", cfg.OpsAddress)
	if err := errors.Join(errs[:]...); err != nil {
		l.close()
		return listeners{}, err
	}
	return l, nil
}

// CheckPorts tells whether the addresses can be listened on now.
func (c *Config) CheckPorts(ctx context.Context) error {
	l, err := listen(ctx, c)
	l.close()
	return err
}

// close closes what is open; a server may have closed it before.
func (l listeners) close() {
	for _, listener := range []net.Listener{l.grpc, l.http, l.ops} {
		if listener != nil {
			_ = listener.Close()
		}
	}
}

// servers are what answers on the ports.
type servers struct {
	grpc     *grpc.Server
	memory   *bufconn.Listener // the facade reaches the gRPC server through it
	conn     *grpc.ClientConn
	http     *http.Server
	ops      *http.Server
	health   *health.Server
	stopping chan struct{} // closed when the service stops
	patience time.Duration
}

// readTimeout bounds a request to the facade, which has next to no body.
const readTimeout = 10 * time.Second

func newServers(ctx context.Context, cfg *Config, store *postgres.Store, writer *batch.Writer, watched *metrics, traces *telemetry.Traces) (*servers, error) {
	s := &servers{health: health.NewServer(), stopping: make(chan struct{}), memory: bufconn.Listen(1 << 20), patience: cfg.StopTimeout}
	var err error
	if s.grpc, err = grpcapi.NewServer(store, writer, grpcapi.Config{
		Health: s.health, Stopping: s.stopping, MaxConnectionAge: cfg.MaxConnectionAge,
		Registry: watched.registry, Traces: traces, Log: cfg.Log,
	}); err != nil {
		return nil, err
	}
	s.conn, err = grpc.NewClient("passthrough:///facade",
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return s.memory.DialContext(ctx) }),
		grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return nil, fmt.Errorf("connect the JSON facade: %w", err)
	}
	facade, err := httpapi.NewFacade(ctx, s.conn)
	if err != nil {
		return nil, err
	}
	s.http = ops.NewServer(facade)
	s.http.ReadTimeout = readTimeout
	s.ops = ops.NewServer(ops.Handler(watched.registry, func() error {
		select {
		case <-s.stopping:
			return errors.New("stopping")
		default:
			return nil
		}
	}))
	return s, nil
}

// serve answers on l until ctx ends, then refuses new calls, lets those under
// way end, for as long as patience allows, and returns.
func (s *servers) serve(ctx context.Context, l listeners) error {
	running, failed := errgroup.WithContext(ctx)
	running.Go(func() error { return notClosed(s.grpc.Serve(l.grpc)) })
	running.Go(func() error { return notClosed(s.grpc.Serve(s.memory)) })
	running.Go(func() error { return notClosed(s.http.Serve(l.http)) })
	running.Go(func() error { return notClosed(s.ops.Serve(l.ops)) })
	running.Go(func() error {
		<-failed.Done()
		s.stop(context.WithoutCancel(ctx))
		return nil
	})
	return running.Wait()
}

func (s *servers) stop(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, s.patience)
	defer cancel()
	close(s.stopping)
	s.health.SetServingStatus("", healthv1.HealthCheckResponse_NOT_SERVING)
	// Both at once: neither has to wait for a slow client of the other.
	var stopped sync.WaitGroup
	stopped.Go(func() {
		_ = s.http.Shutdown(ctx) // past the deadline, Close cuts what is left
		_ = s.http.Close()
	})
	stopped.Go(func() {
		cut := context.AfterFunc(ctx, s.grpc.Stop)
		defer cut()
		s.grpc.GracefulStop()
	})
	stopped.Wait()
	_ = s.conn.Close()
	_ = s.ops.Close()
}

// notClosed passes an error on, but for those of a server that was stopped, perhaps
// before it began.
func notClosed(err error) error {
	if errors.Is(err, http.ErrServerClosed) || errors.Is(err, grpc.ErrServerStopped) {
		return nil
	}
	return err
}
