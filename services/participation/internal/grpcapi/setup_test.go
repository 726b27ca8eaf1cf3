package grpcapi

import (
	"context"
	"log/slog"
	"net"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
	"github.com/rafflecast/rafflecast/services/participation/internal/raffle"
)

// fakeStore is a store and a writer whose every call asks call what comes of it;
// lists are those that list returns.
type fakeStore struct {
	call func(context.Context) error
	list []raffle.Entry
	// visibility is that of the raffle which Get returns.
	visibility raffle.Visibility
	// member, unless it is nil, is called with the member of each request about one.
	member func(id string)
}

// note passes a member on to f.member.
func (f *fakeStore) note(id string) {
	if f.member != nil {
		f.member(id)
	}
}

func (f *fakeStore) ListAuditEvents(ctx context.Context, _, before int64, limit int) ([]raffle.AuditEvent, error) {
	var list []raffle.AuditEvent
	for id := min(before-1, 5); len(list) < limit && id > 0; id-- {
		list = append(list, raffle.AuditEvent{ID: id})
	}
	return list, f.call(ctx)
}

func (f *fakeStore) Create(ctx context.Context, _ raffle.Raffle, _ raffle.RequestID) (raffle.Raffle, error) {
	return raffle.Raffle{}, f.call(ctx)
}

func (f *fakeStore) Get(ctx context.Context, _ int64) (raffle.Raffle, error) {
	return raffle.Raffle{Visibility: f.visibility}, f.call(ctx)
}

func (f *fakeStore) List(ctx context.Context, after int64, limit int, _ raffle.State) ([]raffle.Raffle, error) {
	var list []raffle.Raffle
	for id := after + 1; len(list) < limit && id <= 5; id++ {
		list = append(list, raffle.Raffle{ID: id})
	}
	return list, f.call(ctx)
}

func (f *fakeStore) Update(ctx context.Context, _ int64, _ raffle.Change, _ raffle.RequestID) (raffle.Raffle, error) {
	return raffle.Raffle{}, f.call(ctx)
}

func (f *fakeStore) Close(ctx context.Context, _ int64, _ raffle.RequestID) (raffle.Raffle, error) {
	return raffle.Raffle{}, f.call(ctx)
}

func (f *fakeStore) Cancel(ctx context.Context, _ int64, _ raffle.RequestID) (raffle.Raffle, error) {
	return raffle.Raffle{}, f.call(ctx)
}

func (f *fakeStore) Strike(ctx context.Context, _, _ int64, _ raffle.Reason, _ raffle.RequestID,
) (struck raffle.Winner, successor *raffle.Winner, of raffle.Raffle, err error) {
	return raffle.Winner{}, nil, raffle.Raffle{}, f.call(ctx)
}

func (f *fakeStore) Redraw(ctx context.Context, _ int64, _ raffle.RequestID) (raffle.Raffle, error) {
	return raffle.Raffle{}, f.call(ctx)
}

func (f *fakeStore) Purge(ctx context.Context, _ int64, _ raffle.RequestID) (raffle.Raffle, error) {
	return raffle.Raffle{}, f.call(ctx)
}

func (f *fakeStore) Withdraw(ctx context.Context, req raffle.WithdrawRequest) (raffle.WithdrawResult, error) {
	f.note(req.MemberID)
	return raffle.WithdrawResult{}, f.call(ctx)
}

func (f *fakeStore) ListEntries(ctx context.Context, _ int64, memberID string, after raffle.EntryKey, limit int) ([]raffle.Entry, error) {
	f.note(memberID)
	list := f.list
	for len(list) > 0 && (list[0].MemberID < after.MemberID || (list[0].MemberID == after.MemberID && list[0].Ordinal <= after.Ordinal)) {
		list = list[1:]
	}
	return list[:min(len(list), limit)], f.call(ctx)
}

func (f *fakeStore) Enter(ctx context.Context, req raffle.EnterRequest) (*raffle.EnterResult, error) {
	f.note(req.MemberID)
	err := f.call(ctx)
	return &raffle.EnterResult{Err: err, Raffle: new(raffle.Raffle)}, err
}

func (f *fakeStore) Submitter(complete func(int64, *raffle.EnterResult)) func(context.Context, int64, raffle.EnterRequest) {
	return func(ctx context.Context, id int64, req raffle.EnterRequest) {
		f.note(req.MemberID)
		complete(id, &raffle.EnterResult{Err: f.call(ctx), Raffle: new(raffle.Raffle)})
	}
}

func succeed(context.Context) error { return nil }

// testBundle is a server in memory and its clients.
type testBundle struct {
	store    *fakeStore
	conn     *grpc.ClientConn
	raffles  rafflev1.RaffleServiceClient
	entries  rafflev1.ParticipationServiceClient
	stopping chan struct{}
	dial     func(context.Context) (net.Conn, error)
}

// setup serves a store that succeeds, until the test ends. change may be nil.
func setup(t *testing.T, change func(*Config)) *testBundle {
	t.Helper()
	b := &testBundle{store: &fakeStore{call: succeed}, stopping: make(chan struct{})}
	cfg := Config{
		Health: health.NewServer(), Stopping: b.stopping, PageTokenKey: func() []byte { return []byte("secret") },
		Registry: prometheus.NewRegistry(), Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
	}
	if change != nil {
		change(&cfg)
	}
	server, err := NewServer(b.store, b.store, cfg)
	if err != nil {
		t.Fatal(err)
	}
	listener := bufconn.Listen(1 << 20)
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	t.Cleanup(func() {
		server.Stop()
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	b.dial = listener.DialContext
	b.conn, err = grpc.NewClient("passthrough:///memory", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return b.dial(ctx) }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.conn.Close() })
	b.raffles, b.entries = rafflev1.NewRaffleServiceClient(b.conn), rafflev1.NewParticipationServiceClient(b.conn)
	return b
}

// detail returns the detail of a status that has type D, or nil.
func detail[D any](st *status.Status) *D {
	for _, d := range st.Details() {
		if match, ok := d.(*D); ok {
			return match
		}
	}
	return nil
}

// wantError checks code, reason and domain, and returns the status.
func wantError(t *testing.T, err error, code codes.Code, reason string) *status.Status {
	t.Helper()
	st := status.Convert(err)
	info := detail[errdetails.ErrorInfo](st)
	if st.Code() != code || info.GetReason() != reason || info.GetDomain() != "rafflecast" {
		t.Errorf("got %v %v, want %v %s", st, st.Details(), code, reason)
	}
	return st
}
