package client_test

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/durationpb"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"

	client "github.com/rafflecast/rafflecast/clients/go"
)

// fake is a participation service that keeps entries in memory and fails as a test says.
// The tests in services/test/e2e run the client and its examples against the real one.
type fake struct {
	rafflev1.UnimplementedParticipationServiceServer
	// fail is called with the number of each request, from 1: an error is the answer to it,
	// of which half is placed nevertheless, as if the answer was lost.
	fail func(request int) error
	// end ends a stream after so many answers: with the announcement if announced is set,
	// else with an error.
	end       int
	announced bool
	// authorized, if set, checks the authorization of calls and streams.
	authorized func(ctx context.Context) error

	mu       sync.Mutex
	requests int
	placed   map[string]int // request id to ordinal
	streams  int
}

func (f *fake) enter(req *rafflev1.EnterRequest) (*rafflev1.EnterResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.requests++
	var err error
	if f.fail != nil {
		err = f.fail(f.requests)
	}
	if err != nil && f.requests%2 == 0 {
		return nil, err
	}
	ordinal, replayed := f.placed[req.GetRequestId()]
	if !replayed || req.GetRequestId() == "" {
		ordinal = len(f.placed) + 1
		f.placed[req.GetRequestId()] = ordinal
	}
	if err != nil {
		return nil, err
	}
	n := int64(len(f.placed))
	return &rafflev1.EnterResponse{
		Entry:         &rafflev1.Entry{RaffleId: req.GetRaffleId(), MemberId: req.GetMemberId(), Ordinal: int32(ordinal)},
		MemberEntries: 1, Replayed: replayed, Odds: &rafflev1.Odds{Entries: n, Members: n},
	}, nil
}

func (f *fake) Enter(ctx context.Context, req *rafflev1.EnterRequest) (*rafflev1.EnterResponse, error) {
	if f.authorized != nil {
		if err := f.authorized(ctx); err != nil {
			return nil, err
		}
	}
	return f.enter(req)
}

func (f *fake) EnterStream(stream grpc.BidiStreamingServer[rafflev1.EnterStreamRequest, rafflev1.EnterStreamResponse]) error {
	if f.authorized != nil {
		if err := f.authorized(stream.Context()); err != nil {
			return err
		}
	}
	f.mu.Lock()
	f.streams++
	f.mu.Unlock()
	for answers := 0; ; answers++ {
		if f.end > 0 && answers == f.end {
			if !f.announced {
				return status.Error(codes.Unavailable, "cut")
			}
			return stream.Send(&rafflev1.EnterStreamResponse{Result: &rafflev1.EnterStreamResponse_Ending{
				Ending: &rafflev1.StreamEnding{Reason: rafflev1.StreamEnding_MAX_AGE},
			}})
		}
		req, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		resp := &rafflev1.EnterStreamResponse{CorrelationId: req.GetCorrelationId()}
		if entered, err := f.enter(req.GetEnter()); err != nil {
			resp.Result = &rafflev1.EnterStreamResponse_Status{Status: status.Convert(err).Proto()}
		} else {
			resp.Result = &rafflev1.EnterStreamResponse_Entered{Entered: entered}
		}
		if err := stream.Send(resp); err != nil {
			return err
		}
	}
}

// serve starts the service, until the stop is called, and returns its address.
func (f *fake) serve() (address string, stop func(), err error) {
	f.placed = map[string]int{}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	server := grpc.NewServer()
	rafflev1.RegisterParticipationServiceServer(server, f)
	go func() { _ = server.Serve(listener) }()
	return listener.Addr().String(), server.Stop, nil
}

// start starts the service, and returns a client of it.
func (f *fake) start(t *testing.T, o client.Options) *client.Client {
	t.Helper()
	address, stop, err := f.serve()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	c, err := client.New(address, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// refusal returns the error of a service, with RetryInfo unless the delay is 0.
func refusal(code codes.Code, reason string, delay time.Duration) error {
	details := []protoadapt.MessageV1{
		&errdetails.ErrorInfo{Domain: "rafflecast", Reason: reason, Metadata: map[string]string{"limit": "2"}},
	}
	if delay > 0 {
		details = append(details, &errdetails.RetryInfo{RetryDelay: durationpb.New(delay)})
	}
	s, err := status.New(code, "no").WithDetails(details...)
	if err != nil {
		panic(err) // a defect of the test
	}
	return s.Err()
}

func deadline(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}
