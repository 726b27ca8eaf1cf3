// Package rafflepb converts the domain's types to messages of the contract,
// raffle.v1.
package rafflepb

import (
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
	"github.com/rafflecast/rafflecast/services/participation/internal/raffle"
)

// Raffle returns the message of a raffle.
func Raffle(r raffle.Raffle) *rafflev1.Raffle {
	about := r.About()
	m := &rafflev1.Raffle{
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
		Description:         about.Description,
		PictureUrl:          about.PictureURL,
		Prizes:              prizes(about.Prizes),
		Rule:                rafflev1.Raffle_Rule(r.Rule),
		Visibility:          rafflev1.Raffle_Visibility(r.Visibility),
	}
	if log := r.Log; log != nil {
		m.Alternates, m.DrawsAt = log.Alternates, timestamp(log.DrawsAt)
		m.Draw = &rafflev1.Draw{Chain: log.Chain, Delay: durationpb.New(log.Delay)}
	}
	return m
}

func prizes(list []raffle.Prize) (messages []*rafflev1.Prize) {
	for _, p := range list {
		messages = append(messages, &rafflev1.Prize{Name: p.Name, Count: p.Count})
	}
	return messages
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
	if r.Visibility == raffle.Members { // of other raffles, messages are as those of earlier versions
		m.Visibility = rafflev1.Raffle_MEMBERS
	}
	if p, ok := r.WinnerProbability(); ok {
		m.WinnerProbability = &p
	}
	if p, ok := r.NextEntryProbability(); ok {
		m.NextEntryProbability = &p
	}
	addDraw(m, &r)
	return m
}

// addDraw adds what the draw of a raffle needs. A raffle without rule, prizes and draw,
// as those of callers are who know nothing of draws, has nothing to add.
func addDraw(m *rafflev1.Odds, r *raffle.Raffle) {
	m.Prizes = prizes(r.About().Prizes)
	if r.Rule == raffle.MemberWinsOnce || r.Log != nil {
		m.Rule = rafflev1.Raffle_Rule(r.Rule)
	}
	for i, members := range r.Holders.Counts() {
		if members > 0 {
			m.Holders = append(m.Holders, &rafflev1.Holders{Entries: int32(i + 1), Members: members})
		}
	}
	log := r.Log
	if log == nil {
		return
	}
	root := log.Tree.Root()
	if life := log.Life(); life > 1 {
		m.LogLife = life
	}
	m.LogSize, m.LogRoot, m.Checkpoint = log.Tree.Size, root[:], log.Checkpoint
	if log.Seen > log.Tree.Size {
		m.LogSeen = log.Seen
	}
	m.DrawsAt, m.Round, m.Alternates = timestamp(log.DrawsAt), log.Round, log.Alternates
	for _, w := range log.Winning {
		m.WinningTickets = append(m.WinningTickets, &rafflev1.WinningTicket{Ticket: w.Ticket, Prize: w.Prize})
	}
}

// Entry returns the message of an entry.
func Entry(e raffle.Entry) *rafflev1.Entry {
	m := new(rafflev1.Entry)
	SetEntry(m, &e)
	return m
}

// SetEntry makes an empty message that of an entry. They share the ticket's number.
func SetEntry(m *rafflev1.Entry, e *raffle.Entry) {
	m.RaffleId, m.MemberId, m.Ordinal, m.CreatedAt = e.RaffleID, e.MemberID, e.Ordinal, timestamp(e.CreatedAt)
	if e.Ticket != 0 {
		m.Ticket = &e.Ticket
	}
}

// AuditEvent returns the message of an audit event.
func AuditEvent(e raffle.AuditEvent) *rafflev1.AuditEvent {
	return &rafflev1.AuditEvent{
		Id:       e.ID,
		At:       timestamp(e.At),
		Call:     e.Call,
		RaffleId: e.RaffleID,
		Actor:    e.Actor,
		MemberId: e.MemberID,
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

// Winner returns the message of a drawn ticket of a raffle, without its member.
func Winner(w raffle.Winner, of raffle.Raffle) *rafflev1.Winner {
	m := &rafflev1.Winner{
		Ticket:       w.Ticket,
		Drawing:      w.Drawing,
		State:        rafflev1.Winner_State(w.State),
		Place:        w.Place,
		StrikeReason: rafflev1.Winner_StrikeReason(w.Reason),
	}
	if list := of.About().Prizes; w.Prize > 0 && int(w.Prize) <= len(list) {
		m.Prize = list[w.Prize-1].Name
	}
	return m
}
