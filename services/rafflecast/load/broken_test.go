package load

import (
	"context"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
)

// unreliable refuses every third request as busy, and breaks every stream after
// fifty answers. It counts ordinals per request if it doubles.
type unreliable struct {
	rafflev1.UnimplementedParticipationServiceServer
	calls   atomic.Int32
	doubles bool
}

func (u *unreliable) answer() (*rafflev1.EnterResponse, bool) {
	n := u.calls.Add(1)
	entry := &rafflev1.Entry{Ordinal: 1}
	if u.doubles {
		entry.Ordinal = n
	}
	return &rafflev1.EnterResponse{Entry: entry}, n%3 != 0
}

func (u *unreliable) Enter(context.Context, *rafflev1.EnterRequest) (*rafflev1.EnterResponse, error) {
	if resp, ok := u.answer(); ok {
		return resp, nil
	}
	return nil, status.Error(codes.ResourceExhausted, "busy")
}

func (u *unreliable) EnterStream(stream grpc.BidiStreamingServer[rafflev1.EnterStreamRequest, rafflev1.EnterStreamResponse]) error {
	for range 50 {
		req, err := stream.Recv()
		if err != nil {
			return nil //nolint:nilerr // the client has sent its last request
		}
		resp := &rafflev1.EnterStreamResponse{CorrelationId: req.GetCorrelationId()}
		if entered, ok := u.answer(); ok {
			resp.Result = &rafflev1.EnterStreamResponse_Entered{Entered: entered}
		} else {
			resp.Result = &rafflev1.EnterStreamResponse_Status{Status: busy()}
		}
		if err := stream.Send(resp); err != nil {
			return err
		}
	}
	return status.Error(codes.Unavailable, "broken")
}

func serveUnreliable(t *testing.T, u *unreliable) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	rafflev1.RegisterParticipationServiceServer(server, u)
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)
	return listener.Addr().String()
}

func TestWhatFailsIsSentAgainUntilItIsAnswered(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{Unary, Stream} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			cfg := settings(t, "--target="+serveUnreliable(t, &unreliable{}), "--mode="+mode, "--count=300", "--concurrency=40")
			r := sent(t, cfg)
			if got := r.tally.acknowledged.Load(); got != 300 || r.tally.unknown.Load() != 0 || r.tally.inFlight.Load() != 0 {
				t.Errorf("%d of 300 acknowledged, %d unknown, %d in flight", got, r.tally.unknown.Load(), r.tally.inFlight.Load())
			}
			if _, retried := r.tally.reasons(); len(retried) == 0 {
				t.Error("nothing was tried again")
			}
		})
	}
}

func TestAServiceThatPlacesARequestTwiceIsFoundOut(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{Unary, Stream} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			cfg := settings(t, "--target="+serveUnreliable(t, &unreliable{doubles: true}), "--mode="+mode, "--count=30", "--repeat-percent=100")
			doubled := 0
			r := sent(t, cfg)
			r.ledger.each(func(_ int64, word uint32) {
				if word&flagDoubled != 0 {
					doubled++
				}
			})
			if doubled == 0 { // some are lost with broken streams, and so are not doubled
				t.Error("none of 30 doubled requests was noticed")
			}
		})
	}
}

func sent(t *testing.T, cfg Config) *run {
	t.Helper()
	conns, err := Dial(cfg.Target, cfg.Connections)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conns.Close)
	r := newRun(cfg, &Plan{Raffles: []int64{1}, Seed: 1}, conns)
	if err := r.send(t.Context(), io.Discard); err != nil {
		t.Fatal(err)
	}
	return r
}

func TestAServiceThatIsAwayIsGivenUpAfterTheLastRetry(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	listener.Close()
	cfg := settings(t, "--target="+listener.Addr().String(), "--mode=stream", "--count=10", "--retries=2")
	conns, err := Dial(cfg.Target, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer conns.Close()
	r := newRun(cfg, &Plan{Raffles: []int64{1}}, conns)
	if err := r.send(t.Context(), io.Discard); err == nil {
		t.Error("no error")
	}
	if got := r.tally.acknowledged.Load(); got != 0 {
		t.Errorf("%d acknowledged by nobody", got)
	}
}

// busy is what a service answers that is asked for too much.
func busy() *spb.Status {
	st, err := status.New(codes.ResourceExhausted, "busy").WithDetails(
		&errdetails.ErrorInfo{Reason: "BUSY", Domain: "rafflecast"}, &errdetails.RetryInfo{RetryDelay: durationpb.New(time.Millisecond)})
	if err != nil {
		panic(err) // a defect
	}
	return st.Proto()
}
