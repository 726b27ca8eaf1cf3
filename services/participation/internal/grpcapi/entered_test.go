package grpcapi

import (
	"fmt"
	"math"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
	"github.com/rafflecast/rafflecast/services/draw"
	"github.com/rafflecast/rafflecast/services/participation/internal/raffle"
	"github.com/rafflecast/rafflecast/services/participation/internal/rafflepb"
)

// What the codec writes for an entered is what protobuf reads as the response with its odds.
func TestEntered_IsAnEnterStreamResponse(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 27, 14, 0, 0, 123_456_000, time.UTC)
	of := &raffle.Raffle{
		ID: 7, Version: 3, State: raffle.Open, Title: "Bücher", EntryCount: 300, MemberCount: 2, Winners: 1,
		MaxEntriesPerMember: 200, UpdatedAt: at, Visibility: raffle.Members,
	}
	entry := raffle.Entry{RaffleID: 7, MemberID: "m", Ordinal: 1, RequestID: raffle.RequestID{1}, CreatedAt: at}
	drawn := entry
	drawn.Ticket = math.MaxInt64
	for name, res := range map[string]*raffle.EnterResult{
		"placed":   {Entry: entry, MemberEntries: 1, Raffle: of},
		"replayed": {Entry: entry, MemberEntries: 200, Replayed: true, Raffle: of},
		"drawn":    {Entry: drawn, MemberEntries: 1, Opening: draw.Opening{31: 1}, Raffle: of},
		"nothing":  {Raffle: new(raffle.Raffle)},
	} {
		for _, correlationID := range []int64{0, 1, 300, math.MaxInt64, -1} {
			t.Run(fmt.Sprint(name, " ", correlationID), func(t *testing.T) {
				t.Parallel()
				want := &rafflev1.EnterStreamResponse{
					CorrelationId: correlationID,
					Result: &rafflev1.EnterStreamResponse_Entered{Entered: &rafflev1.EnterResponse{
						Entry: rafflepb.Entry(res.Entry), MemberEntries: res.MemberEntries, Replayed: res.Replayed,
						Odds: rafflepb.Odds(*res.Raffle),
					}},
				}
				if name == "drawn" {
					want.GetEntered().Opening = res.Opening[:]
				}
				e := newEntered(correlationID, res, newSharedOdds(res.Raffle))
				for range 2 { // encoding changes nothing
					data, err := newCodec().Marshal(e)
					if err != nil {
						t.Fatal(err)
					}
					got := new(rafflev1.EnterStreamResponse)
					if err := proto.Unmarshal(data.Materialize(), got); err != nil || !proto.Equal(got, want) {
						t.Errorf("%v\n%v\nwant\n%v", err, got, want)
					}
				}
				if got := e.whole(); !proto.Equal(got, want.GetEntered()) {
					t.Errorf("whole is %v", got)
				}
			})
		}
	}
}

// Odds that can't be encoded are an error of the stream, and no response without odds.
func TestEntered_FailsIfItsOddsCannotBeEncoded(t *testing.T) {
	t.Parallel()
	res := &raffle.EnterResult{Raffle: &raffle.Raffle{Title: "\xff"}} // no UTF-8
	if _, err := newCodec().Marshal(newEntered(1, res, newSharedOdds(res.Raffle))); err == nil {
		t.Error("it was encoded")
	}
}

// The odds are those of the result's raffle, even if another one has its id and version.
func TestOddsOf_AreThoseOfTheRaffle(t *testing.T) {
	t.Parallel()
	s := new(participationService)
	before, restored := &raffle.Raffle{ID: 1, Version: 5, EntryCount: 9}, &raffle.Raffle{ID: 1, Version: 5, EntryCount: 7}
	for _, r := range []*raffle.Raffle{before, before, restored, before} {
		if got := s.oddsOf(r).message.GetEntries(); got != r.EntryCount {
			t.Errorf("odds of %d entries, want %d", got, r.EntryCount)
		}
	}
	if last := s.lastOdds.Load(); s.oddsOf(before) != last {
		t.Error("they are encoded for each response")
	}
}
