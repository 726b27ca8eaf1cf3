package participation_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	reflectionv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
	"github.com/rafflecast/rafflecast/services/participation"
	"github.com/rafflecast/rafflecast/services/test/natstest"
	"github.com/rafflecast/rafflecast/services/test/pgtest"
	"github.com/rafflecast/rafflecast/services/test/testenv"
)

// bundle is a running service and its clients.
type bundle struct {
	raffles rafflev1.RaffleServiceClient
	entries rafflev1.ParticipationServiceClient
	conn    *grpc.ClientConn
	at      participation.Addresses
	nats    *natstest.Server
	cfg     participation.Config
	stop    func() error
}

func setup(t *testing.T) *bundle {
	t.Helper()
	b := prepare(t)
	b.start(t)
	return b
}

// prepare is setup without the start, for other settings.
func prepare(t *testing.T) *bundle {
	t.Helper()
	b := &bundle{nats: natstest.Start(t), cfg: participation.DefaultConfig()}
	b.cfg.GRPCAddress, b.cfg.HTTPAddress, b.cfg.OpsAddress = "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"
	b.cfg.DatabaseURL, b.cfg.NATSURL, b.cfg.Migrate = pgtest.URL(t), b.nats.URL(), true
	b.cfg.Log = slog.New(slog.NewTextHandler(t.Output(), nil))
	return b
}

// start runs the service until the test, or stop, ends it.
func (b *bundle) start(t *testing.T) {
	t.Helper()
	started, ended := make(chan participation.Addresses, 1), make(chan error, 1)
	b.cfg.Started = func(a participation.Addresses) { started <- a }
	ctx, cancel := context.WithCancel(t.Context())
	go func() { ended <- participation.Run(ctx, b.cfg) }()
	b.stop = sync.OnceValue(func() error { cancel(); return <-ended })
	t.Cleanup(func() {
		if err := b.stop(); err != nil {
			t.Errorf("stop: %v", err)
		}
	})
	select {
	case b.at = <-started:
	case err := <-ended:
		ended <- err // for stop
		t.Fatalf("start: %v", err)
	}
	var err error
	if b.conn, err = grpc.NewClient(b.at.GRPC.String(), grpc.WithTransportCredentials(insecure.NewCredentials())); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.conn.Close() })
	b.raffles, b.entries = rafflev1.NewRaffleServiceClient(b.conn), rafflev1.NewParticipationServiceClient(b.conn)
}

func (b *bundle) create(t *testing.T, req *rafflev1.CreateRaffleRequest) *rafflev1.Raffle {
	t.Helper()
	resp, err := b.raffles.CreateRaffle(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	return resp.GetRaffle()
}

// wantError checks code and reason, and returns the status.
func wantError(t *testing.T, err error, code codes.Code, reason string) *status.Status {
	t.Helper()
	st := status.Convert(err)
	if st.Code() != code || errorInfo(st).GetReason() != reason || errorInfo(st).GetDomain() != "rafflecast" {
		t.Errorf("got %v %v, want %v %s", st, st.Details(), code, reason)
	}
	return st
}

func errorInfo(st *status.Status) *errdetails.ErrorInfo {
	for _, d := range st.Details() {
		if info, ok := d.(*errdetails.ErrorInfo); ok {
			return info
		}
	}
	return nil
}

// published returns a raffle's newest odds in the stream, or nil if there are none that
// can be decoded.
func (b *bundle) published(t *testing.T, id int64) *rafflev1.Odds {
	t.Helper()
	stream, err := b.nats.JetStream().Stream(t.Context(), b.cfg.Names().Stream())
	if err != nil {
		return nil
	}
	msg, err := stream.GetLastMsgForSubject(t.Context(), b.cfg.Names().Subject(id))
	if err != nil {
		return nil
	}
	var o rafflev1.Odds
	if err := proto.Unmarshal(msg.Data, &o); err != nil {
		return nil
	}
	return &o
}

func TestService_RunsARaffle(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ctx := t.Context()
	r := b.create(t, &rafflev1.CreateRaffleRequest{Title: "Signed guitar", Winners: 1})
	if r.GetId() != 1 || r.GetState() != rafflev1.Raffle_OPEN || r.GetMaxEntriesPerMember() != 1 {
		t.Errorf("created %v", r)
	}
	id := uuid.NewString()
	first, err := b.entries.Enter(ctx, &rafflev1.EnterRequest{RaffleId: 1, MemberId: "7", RequestId: id})
	if err != nil {
		t.Fatal(err)
	}
	if o := first.GetOdds(); o.GetEntries() != 1 || o.GetWinnerProbability() != 100 || o.GetNextEntryProbability() != 50 || first.GetReplayed() || first.GetMemberEntries() != 1 {
		t.Errorf("entered: %v", first)
	}
	_, err = b.entries.Enter(ctx, &rafflev1.EnterRequest{RaffleId: 1, MemberId: "7"})
	wantError(t, err, codes.FailedPrecondition, "ENTRY_LIMIT_REACHED")
	repeat, err := b.entries.Enter(ctx, &rafflev1.EnterRequest{RaffleId: 1, MemberId: "7", RequestId: id})
	if err != nil || !repeat.GetReplayed() || !proto.Equal(repeat.GetEntry(), first.GetEntry()) {
		t.Errorf("repeat: %v, %v", repeat, err)
	}
	odds, err := b.entries.GetOdds(ctx, &rafflev1.GetOddsRequest{RaffleId: 1})
	if err != nil || !proto.Equal(odds.GetOdds(), first.GetOdds()) {
		t.Errorf("odds %v, %v", odds, err)
	}
	closed, err := b.raffles.CloseRaffle(ctx, &rafflev1.CloseRaffleRequest{RaffleId: 1})
	if err != nil || closed.GetRaffle().GetState() != rafflev1.Raffle_CLOSED {
		t.Errorf("closed %v, %v", closed, err)
	}
	_, err = b.raffles.CloseRaffle(ctx, &rafflev1.CloseRaffleRequest{RaffleId: 1})
	wantError(t, err, codes.FailedPrecondition, "RAFFLE_NOT_OPEN")
	_, err = b.entries.Enter(ctx, &rafflev1.EnterRequest{RaffleId: 1, MemberId: "8"})
	wantError(t, err, codes.FailedPrecondition, "RAFFLE_NOT_OPEN")
	got, err := b.raffles.GetRaffle(ctx, &rafflev1.GetRaffleRequest{RaffleId: 1})
	if err != nil || !proto.Equal(got.GetRaffle(), closed.GetRaffle()) || got.GetRaffle().GetVersion() != 3 {
		t.Errorf("got %v, %v", got, err)
	}
	testenv.Eventually(t, "the final odds are published", 5*time.Second, func() bool {
		o := b.published(t, 1)
		return o.GetVersion() == 3 && o.GetState() == rafflev1.Raffle_CLOSED && o.NextEntryProbability == nil
	})
}

func TestListRaffles_HasPages(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for range 5 {
		b.create(t, &rafflev1.CreateRaffleRequest{Title: "A", Winners: 1})
	}
	var ids []int64
	token := ""
	for {
		page, err := b.raffles.ListRaffles(t.Context(), &rafflev1.ListRafflesRequest{PageSize: 2, PageToken: token})
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range page.GetRaffles() {
			ids = append(ids, r.GetId())
		}
		if token = page.GetNextPageToken(); token == "" {
			break
		}
	}
	if len(ids) != 5 || ids[0] != 1 || ids[4] != 5 {
		t.Errorf("ids %v", ids)
	}
	_, err := b.raffles.ListRaffles(t.Context(), &rafflev1.ListRafflesRequest{PageToken: "x"})
	wantError(t, err, codes.InvalidArgument, "INVALID")
}

func TestErrors_NameFieldValueAndBound(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ctx := t.Context()
	enter := func(id int64, member, request string) error {
		_, err := b.entries.Enter(ctx, &rafflev1.EnterRequest{RaffleId: id, MemberId: member, RequestId: request})
		return err
	}
	create := func(req *rafflev1.CreateRaffleRequest) error {
		_, err := b.raffles.CreateRaffle(ctx, req)
		return err
	}
	now := timestamppb.Now()
	for _, c := range []struct {
		err         error
		field, says string
	}{
		{enter(0, "m", ""), "raffle_id", "greater than or equal to 1 (got 0)"},
		{enter(1, "", ""), "member_id", `(got "")`},
		{enter(1, strings.Repeat("x", 65), ""), "member_id", "1 to 64"},
		{enter(1, "a\nb", ""), "member_id", `(got "a\nb")`},
		{enter(1, "'; DROP TABLE entries; --", ""), "member_id", "A-Z a-z 0-9 _ . : @ -"},
		{enter(1, "m", "x"), "request_id", `(got "x")`},
		{enter(1, "m", uuid.Nil.String()), "request_id", uuid.Nil.String()},
		{create(&rafflev1.CreateRaffleRequest{Winners: 1}), "title", "1 to 200"},
		{create(&rafflev1.CreateRaffleRequest{Title: "A\x00B", Winners: 1}), "title", `(got "A\x00B")`},
		{create(&rafflev1.CreateRaffleRequest{Title: strings.Repeat("가", 201), Winners: 1}), "title", "1 to 200"},
		{create(&rafflev1.CreateRaffleRequest{Title: "A"}), "winners", "(got 0)"},
		{create(&rafflev1.CreateRaffleRequest{Title: "A", Winners: 1_000_001}), "winners", "1000000"},
		{create(&rafflev1.CreateRaffleRequest{Title: "A", Winners: 1, MaxEntriesPerMember: 1001}), "max_entries_per_member", "1000"},
		{create(&rafflev1.CreateRaffleRequest{Title: "A", Winners: 1, OpensAt: now, ClosesAt: now}), "closes_at", "after opens_at"},
		{create(&rafflev1.CreateRaffleRequest{Title: "A", Winners: 1, ClosesAt: &timestamppb.Timestamp{Seconds: -62135596800}}), "closes_at", `(got "0001-01-01T00:00:00Z")`},
	} {
		st := wantError(t, c.err, codes.InvalidArgument, "INVALID")
		if !strings.Contains(st.Message(), c.field+": ") || !strings.Contains(st.Message(), c.says) {
			t.Errorf("%q does not say %s %q", st.Message(), c.field, c.says)
		}
		for _, d := range st.Details() {
			if bad, ok := d.(*errdetails.BadRequest); ok && len(bad.GetFieldViolations()) != 1 {
				t.Errorf("violations %v", bad)
			}
		}
	}
	_, err := b.raffles.GetRaffle(ctx, &rafflev1.GetRaffleRequest{RaffleId: 99})
	wantError(t, err, codes.NotFound, "RAFFLE_NOT_FOUND")
	wantError(t, enter(99, "m", ""), codes.NotFound, "RAFFLE_NOT_FOUND")
	long := enter(1, strings.Repeat("x", 20_000), "")
	if status.Code(long) != codes.ResourceExhausted {
		t.Errorf("a request of 20 kB: %v", long)
	}
}

// The calls over HTTP/JSON, from the request to the database and back; package
// httpapi tests how requests are read.
func TestHTTP_ServesTheContract(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.create(t, &rafflev1.CreateRaffleRequest{Title: "A", Winners: 1})
	for _, c := range []struct {
		request, body string
		status        int
		reason        string
		holds         string
	}{
		{"POST /api/v1/raffle/1?memberId=7", "", 200, "", `"entries":"1"`},
		{"POST /api/v1/raffles/1/entries", `{"memberId":"8"}`, 200, "", `"entries":"2"`},
		{"POST /api/v1/raffles/1/entries", `{"memberId":"8"}`, 400, "ENTRY_LIMIT_REACHED", `"limit":"1"`},
		{"POST /api/v1/raffle/1?memberId=", "", 400, "INVALID", `"field":"member_id"`},
		{"POST /api/v1/raffle/1?memberId=a&memberId=b", "", 400, "INVALID", "once"},
		{"POST /api/v1/raffle/9?memberId=7", "", 404, "RAFFLE_NOT_FOUND", `"raffleId":"9"`},
		{"GET /api/v1/raffles/1/entries?memberId=7", "", 200, "", `"ordinal":1`},
		{"GET /api/v1/raffles/1/odds", "", 200, "", `"state":"OPEN"`},
		{"POST /api/v1/raffles/1/entries:withdraw", `{"memberId":"7"}`, 200, "", `"entries":"1"`},
		{"PATCH /api/v1/raffles/1", `{"title":"B"}`, 200, "", `"title":"B"`},
		{"POST /api/v1/raffles/1:close", "", 200, "", `"state":"CLOSED"`},
		{"POST /api/v1/raffles/1:cancel", "", 400, "RAFFLE_NOT_OPEN", `"state":"CLOSED"`},
		{"GET /api/v1/raffles?pageToken=x", "", 400, "INVALID", `"field":"page_token"`},
		{"GET /api/v1/nothing", "", 404, "PATH_NOT_FOUND", ""},
	} {
		status, body := b.request(t, c.request, c.body)
		var failed struct{ Error struct{ Reason string } }
		if err := json.Unmarshal([]byte(body), &failed); err != nil {
			t.Errorf("%s: %q: %v", c.request, body, err)
		}
		body = strings.ReplaceAll(body, `": `, `":`)
		if status != c.status || failed.Error.Reason != c.reason || !strings.Contains(body, c.holds) {
			t.Errorf("%s: %d %s", c.request, status, body)
		}
	}
}

// request sends a request like "POST /path" over HTTP, with a JSON body or none.
func (b *bundle) request(t *testing.T, request, body string) (status int, text string) {
	t.Helper()
	method, path, _ := strings.Cut(request, " ")
	req, err := http.NewRequestWithContext(t.Context(), method, "http://"+b.at.HTTP.String()+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(data)
}

func TestServer_AnswersHealthAndReflection(t *testing.T) {
	t.Parallel()
	b := setup(t)
	health, err := healthv1.NewHealthClient(b.conn).Check(t.Context(), &healthv1.HealthCheckRequest{})
	if err != nil || health.GetStatus() != healthv1.HealthCheckResponse_SERVING {
		t.Errorf("health %v, %v", health, err)
	}
	stream, err := reflectionv1.NewServerReflectionClient(b.conn).ServerReflectionInfo(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Send(&reflectionv1.ServerReflectionRequest{MessageRequest: &reflectionv1.ServerReflectionRequest_ListServices{}}); err != nil {
		t.Fatal(err)
	}
	list, err := stream.Recv()
	if err != nil || !strings.Contains(list.String(), "raffle.v1.ParticipationService") {
		t.Errorf("reflection %v, %v", list, err)
	}
}
