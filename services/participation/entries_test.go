package participation_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/fieldmaskpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
)

// listEntries reads all pages of a list and returns "member ordinal" of each entry.
func (b *bundle) listEntries(t *testing.T, req *rafflev1.ListEntriesRequest) (got []string) {
	t.Helper()
	for {
		page, err := b.entries.ListEntries(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range page.GetEntries() {
			got = append(got, fmt.Sprint(e.GetMemberId(), " ", e.GetOrdinal()))
		}
		if req.PageToken = page.GetNextPageToken(); req.GetPageToken() == "" {
			return got
		}
	}
}

// enterAll places an entry of each member in raffle 1, in this order.
func (b *bundle) enterAll(t *testing.T, members ...string) {
	t.Helper()
	for _, member := range members {
		b.enter(t, 1, member)
	}
}

func TestListEntries_HasPages(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.create(t, &rafflev1.CreateRaffleRequest{Title: "A", Winners: 1, MaxEntriesPerMember: 2})
	b.enterAll(t, "a:1", "b", "a:1")
	if got := fmt.Sprint(b.listEntries(t, &rafflev1.ListEntriesRequest{RaffleId: 1, PageSize: 1})); got != "[a:1 1 a:1 2 b 1]" {
		t.Errorf("entries %v", got)
	}
	if got := fmt.Sprint(b.listEntries(t, &rafflev1.ListEntriesRequest{RaffleId: 1, MemberId: "a:1", PageSize: 1})); got != "[a:1 1 a:1 2]" {
		t.Errorf("entries of a:1: %v", got)
	}
	_, err := b.entries.ListEntries(t.Context(), &rafflev1.ListEntriesRequest{RaffleId: 1, PageToken: "MTphAGI"}) // 1:a\0b
	wantError(t, err, codes.InvalidArgument, "INVALID")
	_, err = b.entries.ListEntries(t.Context(), &rafflev1.ListEntriesRequest{RaffleId: 9})
	wantError(t, err, codes.NotFound, "RAFFLE_NOT_FOUND")
}

// A page token is good after a restart, and so at every instance of the database, but
// not at one of another database.
func TestListEntries_TokensBelongToTheDatabase(t *testing.T) {
	t.Parallel()
	b, other := setup(t), setup(t)
	b.create(t, &rafflev1.CreateRaffleRequest{Title: "A", Winners: 1})
	other.create(t, &rafflev1.CreateRaffleRequest{Title: "A", Winners: 1})
	b.enterAll(t, "a", "b")
	first, err := b.entries.ListEntries(t.Context(), &rafflev1.ListEntriesRequest{RaffleId: 1, PageSize: 1})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.stop(); err != nil {
		t.Fatal(err)
	}
	b.start(t)
	next := &rafflev1.ListEntriesRequest{RaffleId: 1, PageToken: first.GetNextPageToken()}
	second, err := b.entries.ListEntries(t.Context(), next)
	if err != nil || len(second.GetEntries()) != 1 || second.GetEntries()[0].GetMemberId() != "b" {
		t.Errorf("after a restart: %v, %v", second, err)
	}
	_, err = other.entries.ListEntries(t.Context(), next)
	wantError(t, err, codes.InvalidArgument, "INVALID")
}

func TestWithdraw_TakesAnEntryBack(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.create(t, &rafflev1.CreateRaffleRequest{Title: "A", Winners: 1, MaxEntriesPerMember: 2})
	b.enterAll(t, "a:1", "b", "a:1")
	ctx := t.Context()
	back, err := b.entries.Withdraw(ctx, &rafflev1.WithdrawRequest{RaffleId: 1, MemberId: "a:1"})
	if err != nil || back.GetEntry().GetOrdinal() != 2 || back.GetMemberEntries() != 1 || back.GetOdds().GetEntries() != 2 {
		t.Errorf("withdrawn %v, %v", back, err)
	}
	_, err = b.entries.Withdraw(ctx, &rafflev1.WithdrawRequest{RaffleId: 1, MemberId: "stranger"})
	wantError(t, err, codes.NotFound, "ENTRY_NOT_FOUND")
	_, err = b.entries.Withdraw(ctx, &rafflev1.WithdrawRequest{RaffleId: 1, MemberId: "b", Ordinal: new(int32(7))})
	if st := wantError(t, err, codes.NotFound, "ENTRY_NOT_FOUND"); errorInfo(st).GetMetadata()["ordinal"] != "7" {
		t.Errorf("metadata %v", errorInfo(st).GetMetadata())
	}
}

func TestUpdateRaffle_ChangesNamedFields(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.create(t, &rafflev1.CreateRaffleRequest{Title: "A", Winners: 1, MaxEntriesPerMember: 2})
	update := func(r *rafflev1.Raffle, mask ...string) (*rafflev1.Raffle, error) {
		r.Id = 1
		resp, err := b.raffles.UpdateRaffle(t.Context(), &rafflev1.UpdateRaffleRequest{Raffle: r, UpdateMask: &fieldmaskpb.FieldMask{Paths: mask}})
		return resp.GetRaffle(), err
	}
	if r, err := update(&rafflev1.Raffle{Title: "B", Winners: 5}, "winners"); err != nil || r.GetTitle() != "A" || r.GetWinners() != 5 {
		t.Errorf("updated %v, %v", r, err)
	}
	for _, c := range []struct {
		raffle *rafflev1.Raffle
		mask   []string
		code   codes.Code
		reason string
	}{
		{&rafflev1.Raffle{}, nil, codes.InvalidArgument, "INVALID"},
		{&rafflev1.Raffle{}, []string{"entries"}, codes.InvalidArgument, "INVALID"},
		{&rafflev1.Raffle{}, []string{"title"}, codes.InvalidArgument, "INVALID"},
		{&rafflev1.Raffle{Title: "C"}, []string{"title", "nonsense"}, codes.InvalidArgument, "INVALID"},
		{&rafflev1.Raffle{Title: "C", Winners: 1}, []string{"*", "title"}, codes.InvalidArgument, "INVALID"},
		{&rafflev1.Raffle{Title: "C"}, []string{"*"}, codes.InvalidArgument, "INVALID"}, // no winners
		{&rafflev1.Raffle{ClosesAt: timestamppb.New(time.Now().Add(-time.Hour))}, nil, codes.FailedPrecondition, "TIME_PASSED"},
		{&rafflev1.Raffle{OpensAt: timestamppb.New(time.Now().Add(time.Hour))}, nil, codes.FailedPrecondition, "FIELD_IMMUTABLE"},
		{&rafflev1.Raffle{MaxEntriesPerMember: 999}, nil, codes.FailedPrecondition, "FIELD_IMMUTABLE"},
	} {
		_, err := update(c.raffle, c.mask...)
		wantError(t, err, c.code, c.reason)
	}
	if r, err := update(&rafflev1.Raffle{Title: "D", Winners: 2, Entries: 77}, "*"); err != nil || r.GetTitle() != "D" || r.GetWinners() != 2 || r.GetEntries() != 0 {
		t.Errorf("updated all: %v, %v", r, err)
	}
}

func TestCancelRaffle_IsFinal(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.create(t, &rafflev1.CreateRaffleRequest{Title: "A", Winners: 1})
	b.enterAll(t, "b")
	ctx := t.Context()
	cancelled, err := b.raffles.CancelRaffle(ctx, &rafflev1.CancelRaffleRequest{RaffleId: 1})
	if err != nil || cancelled.GetRaffle().GetState() != rafflev1.Raffle_CANCELLED {
		t.Errorf("cancelled %v, %v", cancelled, err)
	}
	_, err = b.raffles.CancelRaffle(ctx, &rafflev1.CancelRaffleRequest{RaffleId: 1})
	wantError(t, err, codes.FailedPrecondition, "RAFFLE_NOT_OPEN")
	_, err = b.entries.Withdraw(ctx, &rafflev1.WithdrawRequest{RaffleId: 1, MemberId: "b"})
	wantError(t, err, codes.FailedPrecondition, "RAFFLE_NOT_OPEN")
}

type enterStream = grpc.BidiStreamingClient[rafflev1.EnterStreamRequest, rafflev1.EnterStreamResponse]

// collect receives until the stream ends, and returns the responses by correlation
// id. ending is the reason that the service announced, if it did.
func collect(t *testing.T, stream enterStream) (got map[int64]*rafflev1.EnterStreamResponse, ending rafflev1.StreamEnding_Reason, err error) {
	t.Helper()
	got = map[int64]*rafflev1.EnterStreamResponse{}
	for {
		resp, err := stream.Recv()
		if err != nil {
			return got, ending, err
		}
		if resp.GetEnding() != nil {
			ending = resp.GetEnding().GetReason()
			continue
		}
		if got[resp.GetCorrelationId()] != nil {
			t.Errorf("request %d was answered twice", resp.GetCorrelationId())
		}
		got[resp.GetCorrelationId()] = resp
	}
}

func TestEnterStream_AnswersEachByItself(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.create(t, &rafflev1.CreateRaffleRequest{Title: "A", Winners: 1})
	stream, err := b.entries.EnterStream(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	const n = 10_000 // more than may be under way
	id := uuid.NewString()
	special := map[int64]*rafflev1.EnterRequest{
		1: {RaffleId: 1, MemberId: "twice", RequestId: id},
		2: {RaffleId: 1, MemberId: "twice", RequestId: id},
		3: {RaffleId: 1, MemberId: "twice"},
		4: {RaffleId: 1, MemberId: "not valid"},
		5: {RaffleId: 9, MemberId: "m"},
		6: nil,
	}
	for i := range int64(n) {
		req := &rafflev1.EnterRequest{RaffleId: 1, MemberId: fmt.Sprint(i)}
		if s, ok := special[i]; ok {
			req = s
		}
		if err := stream.Send(&rafflev1.EnterStreamRequest{CorrelationId: i, Enter: req}); err != nil {
			t.Fatal(err)
		}
	}
	if err := stream.CloseSend(); err != nil {
		t.Fatal(err)
	}
	got, _, err := collect(t, stream)
	if err.Error() != "EOF" || len(got) != n {
		t.Fatalf("%d answers, then %v", len(got), err)
	}
	if got[1].GetEntered().GetReplayed() || !got[2].GetEntered().GetReplayed() || !proto.Equal(got[1].GetEntered().GetEntry(), got[2].GetEntered().GetEntry()) {
		t.Errorf("a repeat: %v, %v", got[1], got[2])
	}
	for i, want := range map[int64]struct {
		code   codes.Code
		reason string
	}{
		3: {codes.FailedPrecondition, "ENTRY_LIMIT_REACHED"}, 4: {codes.InvalidArgument, "INVALID"},
		5: {codes.NotFound, "RAFFLE_NOT_FOUND"}, 6: {codes.InvalidArgument, "INVALID"},
	} {
		wantError(t, status.ErrorProto(got[i].GetStatus()), want.code, want.reason)
	}
	odds, err := b.entries.GetOdds(t.Context(), &rafflev1.GetOddsRequest{RaffleId: 1})
	if err != nil || odds.GetOdds().GetEntries() != n-5 {
		t.Errorf("odds %v, %v", odds, err)
	}
}

func TestEnterStream_IsAnsweredBeforeAStop(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.create(t, &rafflev1.CreateRaffleRequest{Title: "A", Winners: 1})
	stream, err := b.entries.EnterStream(context.WithoutCancel(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	sent := make(chan int, 1)
	go func() {
		for i := 0; ; i++ {
			if stream.Send(&rafflev1.EnterStreamRequest{CorrelationId: int64(i), Enter: &rafflev1.EnterRequest{RaffleId: 1, MemberId: fmt.Sprint(i)}}) != nil {
				sent <- i
				return
			}
		}
	}()
	if _, err := stream.Recv(); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	go b.stop()
	got, ending, err := collect(t, stream)
	if !errors.Is(err, io.EOF) || ending != rafflev1.StreamEnding_SHUTDOWN {
		t.Errorf("the stream ended with %v, announced as %v", err, ending)
	}
	if err := b.stop(); err != nil || time.Since(began) > 5*time.Second {
		t.Errorf("stopped after %v: %v", time.Since(began), err)
	}
	<-sent
	acknowledged := 1
	for _, resp := range got {
		if resp.GetEntered() != nil {
			acknowledged++
		}
	}
	// What was acknowledged is what the last odds count: nothing more was written.
	if o := b.published(t, 1); int(o.GetEntries()) != acknowledged {
		t.Errorf("%d were acknowledged, the last odds count %d", acknowledged, o.GetEntries())
	}
}
