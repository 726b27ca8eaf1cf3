// Package servicetest starts our services inside a test, on real stores: a schema
// of its own in PostgreSQL (pgtest) and a NATS server of its own (natstest). Each
// ends with the test, which fails if the service fails.
//
// It imports both services. The gateway's own tests must not, since the gateway
// may not depend on a database driver.
package servicetest

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/rafflecast/rafflecast/services/gateway"
	"github.com/rafflecast/rafflecast/services/participation"
	"github.com/rafflecast/rafflecast/services/test/pgtest"
)

// anyPort makes a service listen on a free loopback port.
const anyPort = "127.0.0.1:0"

// Participation is a running participation service.
type Participation struct {
	GRPC        string // host:port
	HTTP        string // host:port
	DatabaseURL string

	// Stop stops the service and waits for it. Idempotent.
	Stop func()
}

// StartParticipation starts the service on free ports, a new schema and the NATS
// server at natsURL, and returns once it serves. The options change its settings.
func StartParticipation(t testing.TB, natsURL string, options ...func(*participation.Config)) *Participation {
	t.Helper()
	cfg := participation.DefaultConfig()
	cfg.DatabaseURL, cfg.NATSURL, cfg.Migrate = pgtest.URL(t), natsURL, true
	cfg.GRPCAddress, cfg.HTTPAddress, cfg.OpsAddress = anyPort, anyPort, anyPort
	cfg.Log = logger(t)
	for _, option := range options {
		option(&cfg)
	}
	at, stop := run(t, func(ctx context.Context, ready func(participation.Addresses)) error {
		cfg.Started = ready
		return participation.Run(ctx, cfg)
	})
	return &Participation{GRPC: at.GRPC.String(), HTTP: at.HTTP.String(), DatabaseURL: cfg.DatabaseURL, Stop: stop}
}

// Gateway is a running gateway.
type Gateway struct {
	HTTP string // host:port
	Ops  string // host:port

	// Stop stops the gateway and waits for it. Idempotent.
	Stop func()
}

// StartGateway starts a gateway on free ports and the NATS server at natsURL, and
// returns once it is ready. The options change its settings; without one, it does
// not wait for its clients to leave when it stops.
func StartGateway(t testing.TB, natsURL string, options ...func(*gateway.Config)) *Gateway {
	t.Helper()
	cfg := gateway.DefaultConfig()
	cfg.NATSURL, cfg.Address, cfg.OpsAddress = natsURL, anyPort, anyPort
	cfg.DrainWindow = 0
	cfg.Log = logger(t)
	for _, option := range options {
		option(&cfg)
	}
	at, stop := run(t, func(ctx context.Context, ready func(gateway.Addresses)) error {
		var at gateway.Addresses
		cfg.Started = func(a gateway.Addresses) { at = a }
		cfg.Ready = func() { ready(at) }
		return gateway.Run(ctx, cfg)
	})
	return &Gateway{HTTP: at.HTTP.String(), Ops: at.Ops.String(), Stop: stop}
}

func logger(t testing.TB) *slog.Logger {
	t.Helper()
	return slog.New(slog.NewTextHandler(t.Output(), nil))
}

// readyTimeout bounds the start of a service.
const readyTimeout = 30 * time.Second

// run calls serve on a goroutine and returns once it has called ready. stop ends
// serve and waits for it; it is called at the latest when the test ends.
func run[Addresses any](
	t testing.TB,
	serve func(ctx context.Context, ready func(Addresses)) error,
) (at Addresses, stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background()) // t.Context ends before the test's cleanups
	ready := make(chan Addresses, 1)
	ended := make(chan struct{})
	var err error
	go func() {
		defer close(ended)
		err = serve(ctx, func(a Addresses) { ready <- a })
	}()
	stop = func() {
		cancel()
		<-ended
		if err != nil {
			t.Errorf("the service failed: %v", err)
			err = nil // reported once
		}
	}
	t.Cleanup(stop)
	select {
	case at = <-ready:
	case <-ended:
		t.Fatal("the service ended before it was ready") // stop reports its error
	case <-time.After(readyTimeout):
		t.Fatalf("the service was not ready within %v", readyTimeout)
	}
	return at, stop
}
