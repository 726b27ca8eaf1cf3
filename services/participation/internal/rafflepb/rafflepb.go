// Package rafflepb converts the domain's types to messages of the contract,
// raffle.v1.
package rafflepb

import (
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
	"github.com/rafflecast/rafflecast/services/participation/internal/raffle"
)

// Raffle returns the message of a raffle.
func Raffle(r raffle.Raffle) *rafflev1.Raffle {
	return &rafflev1.Raffle{
		Id:                  r.ID,
		Title:               r.Title,
		Winners:             r.Winners,
		MaxEntriesPerMember: r.MaxEntriesPerMember,
		OpensAt:             timestamp(r.OpensAt),
		ClosesAt:            timestamp(r.ClosesAt),
		State:               rafflev1.Raffle_State(r.State),
		Entries:             r.EntryCount,
		Members:             r.MemberCount,
		Version:             r.Version,
		CreatedAt:           timestamp(r.CreatedAt),
		UpdatedAt:           timestamp(r.UpdatedAt),
		Epoch:               r.Epoch,
	}
}

// Odds returns the message with the odds of a raffle.
func Odds(r raffle.Raffle) *rafflev1.Odds {
	m := &rafflev1.Odds{
		Id:                  r.ID,
		Version:             r.Version,
		State:               rafflev1.Raffle_State(r.State),
		Title:               r.Title,
		Entries:             r.EntryCount,
		Members:             r.MemberCount,
		Winners:             r.Winners,
		MaxEntriesPerMember: r.MaxEntriesPerMember,
		OpensAt:             timestamp(r.OpensAt),
		ClosesAt:            timestamp(r.ClosesAt),
		At:                  timestamp(r.UpdatedAt),
		Epoch:               r.Epoch,
	}
	if p, ok := r.WinnerProbability(); ok {
		m.WinnerProbability = &p
	}
	if p, ok := r.NextEntryProbability(); ok {
		m.NextEntryProbability = &p
	}
	return m
}

// Entry returns the message of an entry.
func Entry(e raffle.Entry) *rafflev1.Entry {
	return &rafflev1.Entry{
		RaffleId:  e.RaffleID,
		MemberId:  e.MemberID,
		Ordinal:   e.Ordinal,
		CreatedAt: timestamp(e.CreatedAt),
	}
}

// timestamp returns the message of a time, or nil for the zero time. It has the
// precision of the database, so that the message of a raffle that was just changed
// equals that of the row.
func timestamp(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t.Truncate(time.Microsecond))
}
