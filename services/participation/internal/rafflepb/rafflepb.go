// Package rafflepb writes the domain in the terms of the contract, raffle.v1.
package rafflepb

import (
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
	"github.com/rafflecast/rafflecast/services/participation/internal/raffle"
)

// Raffle writes a raffle.
func Raffle(r raffle.Raffle) *rafflev1.Raffle {
	return &rafflev1.Raffle{
		Id:                  r.ID,
		Title:               r.Title,
		Winners:             r.Winners,
		MaxEntriesPerMember: r.MaxEntriesPerMember,
		OpensAt:             timestamp(r.OpensAt),
		ClosesAt:            timestamp(r.ClosesAt),
		State:               rafflev1.Raffle_State(r.State),
		Entries:             r.Entries,
		Members:             r.Members,
		Version:             r.Version,
		CreatedAt:           timestamp(r.CreatedAt),
		UpdatedAt:           timestamp(r.UpdatedAt),
	}
}

// Odds writes odds.
func Odds(o raffle.Odds) *rafflev1.Odds {
	m := &rafflev1.Odds{
		Id:                  o.ID,
		Version:             o.Version,
		State:               rafflev1.Raffle_State(o.State),
		Title:               o.Title,
		Entries:             o.Entries,
		Members:             o.Members,
		Winners:             o.Winners,
		MaxEntriesPerMember: o.MaxEntriesPerMember,
		OpensAt:             timestamp(o.OpensAt),
		ClosesAt:            timestamp(o.ClosesAt),
		At:                  timestamp(o.UpdatedAt),
	}
	if p, ok := o.WinnerProbability(); ok {
		m.WinnerProbability = &p
	}
	if p, ok := o.NextEntryProbability(); ok {
		m.NextEntryProbability = &p
	}
	return m
}

// Entry writes an entry.
func Entry(e raffle.Entry) *rafflev1.Entry {
	return &rafflev1.Entry{
		RaffleId:  e.RaffleID,
		MemberId:  e.MemberID,
		Ordinal:   e.Ordinal,
		CreatedAt: timestamp(e.CreatedAt),
	}
}

// timestamp writes a time; the zero time is absent.
func timestamp(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}
