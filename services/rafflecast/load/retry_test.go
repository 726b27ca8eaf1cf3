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
	"github.com/rafflecast/rafflecast/services/test/testenv"
)

// unreliable is a service that refuses every third request as BUSY, and breaks every
// stream after fifty answers. If it doubles entries, it answers each attempt with
// another entry.
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

func (u *unreliable) EnterStream(
	stream grpc.BidiStreamingServer[rafflev1.EnterStreamRequest, rafflev1.EnterStreamResponse],
) error {
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

func TestGenerator_RetriesUntilEveryRequestIsAnswered(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{Unary, Stream} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			cfg := settings(t, "--target="+serveUnreliable(t, &unreliable{}), "--mode="+mode, "--count=300", "--concurrency=40")
			g, result := send(t, cfg)
			if inFlight := g.counters.inFlight.Load(); result.Acknowledged != 300 || result.Unknown != 0 || inFlight != 0 {
				t.Errorf("%d of 300 acknowledged, %d unknown, %d in flight", result.Acknowledged, result.Unknown, inFlight)
			}
			if len(result.Retried) == 0 {
				t.Error("no attempt was retried")
			}
		})
	}
}

func TestGenerator_NoticesDoubledEntries(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{Unary, Stream} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			cfg := settings(
				t,
				"--target="+serveUnreliable(t, &unreliable{doubles: true}),
				"--mode="+mode,
				"--count=30",
				"--repeat-percent=100",
			)
			g, _ := send(t, cfg)
			contradicted := 0
			g.outcomes.each(func(_ int64, word uint32) {
				if word&flagContradicted != 0 {
					contradicted++
				}
			})
			if contradicted == 0 { // not all are: some second answers are lost with broken streams
				t.Error("none of 30 doubled entries was noticed")
			}
		})
	}
}

// send sends a load for raffle 1.
func send(t *testing.T, cfg Config) (*Generator, Result) {
	t.Helper()
	conns, err := Dial(cfg.Target, cfg.Connections)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conns.Close)
	g := newGenerator(cfg, &Plan{Raffles: []int64{1}, Seed: 1}, conns)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	result, err := g.Send(ctx, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	return g, result
}

func TestGenerator_FailsAfterTheLastRetry(t *testing.T) {
	t.Parallel()
	cfg := settings(t, "--target="+testenv.FreeAddress(t), "--mode=stream", "--count=10", "--retries=2")
	conns, err := Dial(cfg.Target, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer conns.Close()
	g := newGenerator(cfg, &Plan{Raffles: []int64{1}}, conns)
	result, err := g.Send(t.Context(), io.Discard)
	if err == nil {
		t.Error("no error")
	}
	if result.Acknowledged != 0 || result.Retried["UNAVAILABLE"] != 3 {
		t.Errorf("%d acknowledged, failed attempts %v", result.Acknowledged, result.Retried)
	}
}

// busy is the status of a service over its limit.
func busy() *spb.Status {
	st, err := status.New(codes.ResourceExhausted, "busy").WithDetails(
		&errdetails.ErrorInfo{
			Reason: "BUSY",
			Domain: "rafflecast",
		}, &errdetails.RetryInfo{RetryDelay: durationpb.New(time.Millisecond)})
	if err != nil {
		panic(err) // a defect
	}
	return st.Proto()
}
