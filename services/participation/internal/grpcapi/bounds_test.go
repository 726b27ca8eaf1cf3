package grpcapi

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/rafflecast/rafflecast/services/test/testenv"
)

// watch opens a stream of health that stays open, and returns its first error.
func (b *testBundle) watch(ctx context.Context) (grpc.ServerStreamingClient[healthv1.HealthCheckResponse], error) {
	stream, err := healthv1.NewHealthClient(b.conn).Watch(ctx, &healthv1.HealthCheckRequest{})
	if err == nil {
		_, err = stream.Recv()
	}
	return stream, err
}

func TestServer_BoundsWatchesOfHealth(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	first, leave := context.WithCancel(t.Context())
	for i := range 256 {
		ctx := t.Context()
		if i == 0 {
			ctx = first
		}
		if _, err := b.watch(ctx); err != nil {
			t.Fatalf("watch %d: %v", i, err)
		}
	}
	_, err := b.watch(t.Context())
	wantError(t, err, codes.ResourceExhausted, "BUSY")
	if _, err := healthv1.NewHealthClient(b.conn).Check(t.Context(), &healthv1.HealthCheckRequest{}); err != nil {
		t.Errorf("Check: %v", err)
	}
	if stream, err := b.entries.EnterStream(t.Context()); err != nil || stream.Send(enter(1)) != nil {
		t.Errorf("EnterStream: %v", err)
	} else if _, err := stream.Recv(); err != nil {
		t.Errorf("EnterStream: %v", err)
	}
	leave()
	testenv.Eventually(t, "the place of a watch that has ended is free", 10*time.Second, func() bool {
		_, err := b.watch(t.Context())
		return err == nil
	})
}

// Some time after the greatest age of a connection, what has not ended is cut.
func TestServer_CutsWhatOutlivesItsConnection(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const age, grace = 200 * time.Millisecond, 300 * time.Millisecond
		b := setup(t, func(cfg *Config) {
			cfg.MaxConnectionAge, cfg.callTimeout, cfg.streamGrace = age, time.Millisecond, grace
		})
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		began := time.Now()
		stream, err := b.watch(ctx)
		if err != nil {
			t.Fatal(err)
		}
		_, err = stream.Recv()
		if lasted := time.Since(began); status.Code(err) != codes.Unavailable || ctx.Err() != nil || lasted < age*9/10+grace {
			t.Errorf("after %v: %v", lasted, err)
		}
	})
}

// A connection without calls ends by itself, and the client makes another one.
func TestServer_EndsIdleConnections(t *testing.T) {
	t.Parallel()
	b := setup(t, func(cfg *Config) { cfg.MaxConnectionIdle = 100 * time.Millisecond })
	check := func() {
		t.Helper()
		if _, err := healthv1.NewHealthClient(b.conn).Check(t.Context(), &healthv1.HealthCheckRequest{}); err != nil {
			t.Error(err)
		}
	}
	check()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for state := b.conn.GetState(); ; state = b.conn.GetState() {
		if !b.conn.WaitForStateChange(ctx, state) {
			t.Fatal("the connection stays")
		}
		if state := b.conn.GetState().String(); state == "IDLE" {
			break
		}
	}
	check()
}
