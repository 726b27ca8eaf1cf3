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

func TestUpdateCancelWithdrawList(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ctx := t.Context()
	b.create(t, &rafflev1.CreateRaffleRequest{Title: "A", Winners: 1, MaxEntriesPerMember: 2})
	for _, member := range []string{"a:1", "b", "a:1"} {
		if _, err := b.entries.Enter(ctx, &rafflev1.EnterRequest{RaffleId: 1, MemberId: member}); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	for token := ""; ; {
		page, err := b.entries.ListEntries(ctx, &rafflev1.ListEntriesRequest{RaffleId: 1, PageSize: 1, PageToken: token})
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range page.GetEntries() {
			got = append(got, fmt.Sprint(e.GetMemberId(), " ", e.GetOrdinal()))
		}
		if token = page.GetNextPageToken(); token == "" {
			break
		}
	}
	if fmt.Sprint(got) != "[a:1 1 a:1 2 b 1]" {
		t.Errorf("entries %v", got)
	}
	_, err := b.entries.ListEntries(ctx, &rafflev1.ListEntriesRequest{RaffleId: 1, PageToken: "MTphAGI"}) // 1:a\0b
	wantError(t, err, codes.InvalidArgument, "INVALID")
	_, err = b.entries.ListEntries(ctx, &rafflev1.ListEntriesRequest{RaffleId: 9})
	wantError(t, err, codes.NotFound, "RAFFLE_NOT_FOUND")

	back, err := b.entries.Withdraw(ctx, &rafflev1.WithdrawRequest{RaffleId: 1, MemberId: "a:1"})
	if err != nil || back.GetEntry().GetOrdinal() != 2 || back.GetMemberEntries() != 1 || back.GetOdds().GetEntries() != 2 {
		t.Errorf("withdrawn %v, %v", back, err)
	}
	_, err = b.entries.Withdraw(ctx, &rafflev1.WithdrawRequest{RaffleId: 1, MemberId: "stranger"})
	wantError(t, err, codes.NotFound, "ENTRY_NOT_FOUND")

	changed, err := b.raffles.UpdateRaffle(ctx, &rafflev1.UpdateRaffleRequest{Raffle: &rafflev1.Raffle{Id: 1, Title: "B", Winners: 5}, UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"winners"}}})
	if r := changed.GetRaffle(); err != nil || r.GetTitle() != "A" || r.GetWinners() != 5 {
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
		c.raffle.Id = 1
		_, err := b.raffles.UpdateRaffle(ctx, &rafflev1.UpdateRaffleRequest{Raffle: c.raffle, UpdateMask: &fieldmaskpb.FieldMask{Paths: c.mask}})
		wantError(t, err, c.code, c.reason)
	}
	all := &rafflev1.Raffle{Id: 1, Title: "D", Winners: 2, Entries: 77}
	changed, err = b.raffles.UpdateRaffle(ctx, &rafflev1.UpdateRaffleRequest{Raffle: all, UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"*"}}})
	if r := changed.GetRaffle(); err != nil || r.GetTitle() != "D" || r.GetWinners() != 2 || r.GetEntries() != 2 {
		t.Errorf("updated all: %v, %v", r, err)
	}
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

// collect receives until the stream ends, and returns what came by id. ending is
// the reason that the service announced, if it did.
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

func TestEnterStreamAnswersEachByItself(t *testing.T) {
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

func TestAStreamIsAnsweredBeforeTheServiceStops(t *testing.T) {
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
