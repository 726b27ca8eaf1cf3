package grpcapi

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	grpcmetadata "google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
)

func TestRecovery_KeepsAPanicToItsCall(t *testing.T) {
	t.Parallel()
	var log lockedBuffer
	b := setup(t, func(cfg *Config) { cfg.Log = slog.New(slog.NewTextHandler(&log, nil)) })
	b.store.call = func(context.Context) error { panic("something secret") }
	_, err := b.raffles.GetRaffle(t.Context(), &rafflev1.GetRaffleRequest{RaffleId: 1})
	if st := wantError(t, err, codes.Internal, "INTERNAL"); strings.Contains(st.Message(), "secret") {
		t.Errorf("the caller reads %q", st.Message())
	}
	for _, want := range []string{`msg="panic in a call"`, "RaffleService/GetRaffle", "something secret", "interceptors_test.go"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log lacks %s: %s", want, log.String())
		}
	}
	b.store.call = succeed
	if _, err := b.raffles.GetRaffle(t.Context(), &rafflev1.GetRaffleRequest{RaffleId: 1}); err != nil {
		t.Errorf("the next call: %v", err)
	}
}

// lockedBuffer is safe for concurrent use.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func TestAdmission_RefusesBeyondItsLimit(t *testing.T) {
	t.Parallel()
	a := newAdmission(1, "/exempt")
	call := func(method string, next func()) error {
		_, err := a.unary(t.Context(), nil, &grpc.UnaryServerInfo{FullMethod: method}, func(context.Context, any) (any, error) {
			next()
			return nil, nil //nolint:nilnil // neither is looked at
		})
		return err
	}
	err := call("/a", func() {
		st := wantError(t, toStatus(t.Context(), slog.Default(), call("/b", func() { t.Error("admitted") })), codes.ResourceExhausted, "BUSY")
		if detail[errdetails.RetryInfo](st) == nil {
			t.Error("no RetryInfo")
		}
		reached := false
		if err := call("/exempt", func() { reached = true }); err != nil || !reached {
			t.Errorf("an exempt method: %v", err)
		}
	})
	if err != nil {
		t.Errorf("the first call: %v", err)
	}
	if err := call("/c", func() {}); err != nil {
		t.Errorf("after the first call: %v", err)
	}
}

// With all places taken, entries are still placed and health is still answered.
func TestAdmission_ExemptsEnterAndHealth(t *testing.T) {
	t.Parallel()
	b := setup(t, func(cfg *Config) { cfg.maxStreams = 2 * maxCalls })
	release, waiting := make(chan struct{}), make(chan struct{}, maxCalls)
	b.store.call = func(context.Context) error {
		waiting <- struct{}{}
		<-release
		return nil
	}
	var calls sync.WaitGroup
	for range maxCalls {
		calls.Go(func() {
			if _, err := b.raffles.GetRaffle(t.Context(), &rafflev1.GetRaffleRequest{RaffleId: 1}); err != nil {
				t.Error(err)
			}
		})
	}
	for range maxCalls {
		<-waiting
	}
	_, err := b.raffles.GetRaffle(t.Context(), &rafflev1.GetRaffleRequest{RaffleId: 1})
	wantError(t, err, codes.ResourceExhausted, "BUSY")
	if _, err := healthv1.NewHealthClient(b.conn).Check(t.Context(), &healthv1.HealthCheckRequest{}); err != nil {
		t.Errorf("health: %v", err)
	}
	entered := make(chan error, 1)
	go func() {
		_, err := b.entries.Enter(t.Context(), &rafflev1.EnterRequest{RaffleId: 1, MemberId: "m"})
		entered <- err
	}()
	select {
	case <-waiting: // it reached the writer
		close(release)
		err = <-entered
	case err = <-entered:
		close(release)
	}
	if err != nil {
		t.Errorf("Enter: %v", err)
	}
	calls.Wait()
}

func TestDeadline_EndsACall(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const timeout = 30 * time.Second
		b := setup(t, nil)
		b.store.call = func(ctx context.Context) error {
			<-ctx.Done()
			return context.Cause(ctx)
		}
		began := time.Now()
		_, err := b.raffles.GetRaffle(t.Context(), &rafflev1.GetRaffleRequest{RaffleId: 1})
		wantError(t, err, codes.DeadlineExceeded, "DEADLINE_EXCEEDED")
		if took := time.Since(began); took != timeout {
			t.Errorf("it ended after %v", took)
		}
	})
}

// A caller that sends the headers of calls, and no message, holds them for no longer.
func TestDeadline_EndsACallWithoutAMessage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t, func(cfg *Config) { cfg.callTimeout = 50 * time.Millisecond })
		// It is open for longer than the calls below, each of which takes the timeout.
		entries, err := b.entries.EnterStream(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, method := range []string{
			rafflev1.ParticipationService_Enter_FullMethodName, rafflev1.RaffleService_GetRaffle_FullMethodName,
			healthv1.Health_Check_FullMethodName,
		} {
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			stream, err := b.conn.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true}, method)
			if err != nil {
				t.Fatal(err)
			}
			if err := stream.RecvMsg(new(rafflev1.EnterResponse)); err == nil || ctx.Err() != nil {
				t.Errorf("%s: %v", method, err)
			}
		}
		if err := entries.Send(enter(1)); err != nil {
			t.Fatal(err)
		}
		if resp, err := entries.Recv(); err != nil || resp.GetEntered() == nil {
			t.Errorf("a stream of entries was ended: %v, %v", resp, err)
		}
	})
}

func TestServer_BoundsTheCallsOfAConnection(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t, nil)
		open := func(within time.Duration) error {
			ctx, cancel := context.WithTimeout(t.Context(), within)
			t.Cleanup(cancel)
			_, err := b.conn.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true}, rafflev1.ParticipationService_Enter_FullMethodName)
			return err
		}
		for range 1000 {
			if err := open(10 * time.Second); err != nil {
				t.Fatal(err)
			}
		}
		if err := open(200 * time.Millisecond); status.Code(err) != codes.DeadlineExceeded {
			t.Errorf("one call more: %v", err)
		}
	})
}

func TestServer_BoundsMessages(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	for size, want := range map[int]codes.Code{15 << 10: codes.InvalidArgument, 16 << 10: codes.ResourceExhausted} {
		_, err := b.entries.Enter(t.Context(), &rafflev1.EnterRequest{RaffleId: 1, MemberId: strings.Repeat("m", size)})
		if status.Code(err) != want {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
}

func TestServer_BoundsHeaders(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	for size, ok := range map[int]bool{8 << 10: true, 16 << 10: false} {
		ctx := grpcmetadata.AppendToOutgoingContext(t.Context(), "x", strings.Repeat("x", size))
		if _, err := b.raffles.GetRaffle(ctx, &rafflev1.GetRaffleRequest{RaffleId: 1}); (err == nil) != ok {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
}
