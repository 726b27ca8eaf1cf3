package httpapi

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/proto"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
)

// fakeServer is a gRPC server that keeps the last request and answers as told.
type fakeServer struct {
	rafflev1.UnimplementedParticipationServiceServer
	rafflev1.UnimplementedRaffleServiceServer
	rafflev1.UnimplementedAuditServiceServer

	mu   sync.Mutex
	last proto.Message
	err  error

	records []byte      // of GetLog
	caller  metadata.MD // of the last call
}

// intercept keeps the request; resp is what a call returns without an error.
func (f *fakeServer) intercept(ctx context.Context, req any, info *grpc.UnaryServerInfo, _ grpc.UnaryHandler) (any, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.last, _ = req.(proto.Message)
	f.caller, _ = metadata.FromIncomingContext(ctx)
	_ = grpc.SetHeader(ctx, metadata.Pairs("marked", "x")) // fails only without a call
	if f.err != nil {
		return nil, f.err
	}
	switch info.FullMethod {
	case rafflev1.ParticipationService_Enter_FullMethodName:
		return &rafflev1.EnterResponse{MemberEntries: 1, Odds: &rafflev1.Odds{Id: 1, State: rafflev1.Raffle_OPEN}}, nil
	case rafflev1.ParticipationService_Withdraw_FullMethodName:
		return &rafflev1.WithdrawResponse{}, nil
	case rafflev1.ParticipationService_ListEntries_FullMethodName:
		return &rafflev1.ListEntriesResponse{}, nil
	case rafflev1.ParticipationService_GetOdds_FullMethodName:
		return &rafflev1.GetOddsResponse{}, nil
	case rafflev1.RaffleService_CreateRaffle_FullMethodName:
		return &rafflev1.CreateRaffleResponse{}, nil
	case rafflev1.RaffleService_GetRaffle_FullMethodName:
		return &rafflev1.GetRaffleResponse{Raffle: &rafflev1.Raffle{Id: 1}}, nil
	case rafflev1.RaffleService_ListRaffles_FullMethodName:
		return &rafflev1.ListRafflesResponse{}, nil
	case rafflev1.RaffleService_UpdateRaffle_FullMethodName:
		return &rafflev1.UpdateRaffleResponse{}, nil
	case rafflev1.RaffleService_CloseRaffle_FullMethodName:
		return &rafflev1.CloseRaffleResponse{}, nil
	case rafflev1.RaffleService_GetLog_FullMethodName:
		return &rafflev1.GetLogResponse{Records: f.records}, nil
	default:
		return &rafflev1.CancelRaffleResponse{}, nil
	}
}

// EnterStream echoes correlation ids; the member "stop" makes the server end the
// stream by itself.
func (f *fakeServer) EnterStream(stream grpc.BidiStreamingServer[rafflev1.EnterStreamRequest, rafflev1.EnterStreamResponse]) error {
	f.mu.Lock()
	f.caller, _ = metadata.FromIncomingContext(stream.Context())
	f.mu.Unlock()
	for {
		req, err := stream.Recv()
		if err != nil {
			return f.err
		}
		resp := &rafflev1.EnterStreamResponse{CorrelationId: req.GetCorrelationId(), Result: &rafflev1.EnterStreamResponse_Entered{
			Entered: &rafflev1.EnterResponse{Entry: &rafflev1.Entry{MemberId: req.GetEnter().GetMemberId()}},
		}}
		if err := stream.Send(resp); err != nil {
			return err
		}
		if req.GetEnter().GetMemberId() == "stop" {
			return stream.Send(&rafflev1.EnterStreamResponse{Result: &rafflev1.EnterStreamResponse_Ending{
				Ending: &rafflev1.StreamEnding{Reason: rafflev1.StreamEnding_SHUTDOWN},
			}})
		}
	}
}

// testBundle is a server over HTTP in front of a fakeServer.
type testBundle struct {
	t    *testing.T
	grpc *fakeServer
	conn *grpc.ClientConn
	url  string
}

func setup(t *testing.T) *testBundle {
	t.Helper()
	b := &testBundle{t: t, grpc: &fakeServer{}}
	web := httptest.NewServer(b.serve(t, slog.New(slog.NewTextHandler(t.Output(), nil))))
	t.Cleanup(web.Close)
	b.url = web.URL
	return b
}

// serve starts the fake server, and returns a handler in front of it.
func (b *testBundle) serve(tb testing.TB, log *slog.Logger) http.Handler {
	tb.Helper()
	server := grpc.NewServer(grpc.UnaryInterceptor(b.grpc.intercept))
	rafflev1.RegisterParticipationServiceServer(server, b.grpc)
	rafflev1.RegisterRaffleServiceServer(server, b.grpc)
	rafflev1.RegisterAuditServiceServer(server, b.grpc)
	listener := bufconn.Listen(1 << 20)
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	tb.Cleanup(func() {
		server.Stop()
		if err := <-served; err != nil {
			tb.Errorf("Serve: %v", err)
		}
	})
	var err error
	b.conn, err = grpc.NewClient("passthrough:///memory", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { b.conn.Close() })
	h, err := New(tb.Context(), b.conn, nil, log)
	if err != nil {
		tb.Fatal(err)
	}
	return h
}

// fail makes all calls return err.
func (b *testBundle) fail(err error) {
	b.grpc.mu.Lock()
	defer b.grpc.mu.Unlock()
	b.grpc.err = err
}

// answer is what a request came to.
type answer struct {
	status int
	header http.Header
	body   string
	err    requestError  // the value of "error"
	call   proto.Message // what the gRPC server got; nil if it was not asked
}

// do sends a request, which is like "POST /path?query", with a body of a type.
func (b *testBundle) do(request, contentType, body string) answer {
	b.t.Helper()
	method, path, _ := strings.Cut(request, " ")
	req, err := http.NewRequestWithContext(b.t.Context(), method, b.url+path, strings.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	return b.send(req)
}

func (b *testBundle) send(req *http.Request) answer {
	b.t.Helper()
	b.grpc.mu.Lock()
	b.grpc.last = nil
	b.grpc.mu.Unlock()
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		b.t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	a := answer{status: resp.StatusCode, header: resp.Header, body: string(data)}
	var body struct{ Error requestError }
	if resp.StatusCode >= http.StatusBadRequest && req.Method != http.MethodHead {
		if err := json.Unmarshal(data, &body); err != nil {
			b.t.Errorf("%s %s: %q is not JSON: %v", req.Method, req.URL, data, err)
		}
	}
	a.err = body.Error
	b.grpc.mu.Lock()
	defer b.grpc.mu.Unlock()
	a.call = b.grpc.last
	return a
}
