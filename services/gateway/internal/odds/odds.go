// Package odds is the gateway's domain: one version of a raffle's odds, as
// viewers see it, encoded once for all of them.
package odds

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
	"github.com/rafflecast/rafflecast/services/gateway/internal/sse"
	"github.com/rafflecast/rafflecast/services/internal/oddsstream"
)

// Event is the name of the event that carries odds.
const Event = "raffle-winning-probability"

// MaxFrame bounds the length of a frame in bytes: the contract bounds a title to 200
// characters, the prizes to 20 with names of 100, the numbers of entries that members
// can have to 100 where they are counted, and the tickets to 100.
const MaxFrame = 24 << 10

// Update is one version of a raffle's odds. It is immutable, except for Delivery and
// until the cache has taken it, so any number of goroutines may read it.
type Update struct {
	RaffleID int64
	Epoch    string // names the life of the raffle; versions count within it
	Version  int64
	State    string // as in the contract: OPEN and so on
	Final    bool   // no other version will follow in this life
	// MembersOnly says that only clients with a token may watch the raffle.
	MembersOnly bool
	Removed     bool      // the raffle does not exist any more; it is the last of this life
	At          time.Time // when the version was made, by the database's clock
	Entries     int64
	OpensAt     int64    // Unix milliseconds; 0 if the raffle has no such time
	ClosesAt    int64    // likewise
	JSON        []byte   // the event's data; a part of Frame
	Frame       []byte   // the event as it is sent on a connection with one raffle
	Body        []byte   // Frame without its id line
	Position    Position // in the stream
	// Life counts the lives of raffles in the order in which the cache has met them,
	// from 1. Of two updates of a raffle, the one of the higher life is newer, and
	// within a life the one of the higher version. The cache sets it.
	Life uint32
	// Delivery follows the update to the connections. It is nil for an update that
	// was not received live.
	Delivery *Delivery
}

// Newer reports whether u comes after a version that a client has in a life; both are
// 0 if it has none.
func (u *Update) Newer(life uint32, version int64) bool {
	return u.Life > life || u.Life == life && u.Version > version
}

// Position is the position of a message in the stream.
type Position struct {
	Stream   int64 // counts the streams that there were, one after another
	Sequence uint64
}

// After reports whether p comes after other.
func (p Position) After(other Position) bool {
	return p.Stream > other.Stream || p.Stream == other.Stream && p.Sequence > other.Sequence
}

// view is the event's data; the contract fixes its names and their order.
type view struct {
	ID                   int64    `json:"id"`
	Epoch                string   `json:"epoch"`
	Version              int64    `json:"version"`
	State                string   `json:"state"`
	Title                string   `json:"title"`
	Entries              int64    `json:"entries"`
	Members              int64    `json:"members"`
	Winners              int32    `json:"winners"`
	MaxEntriesPerMember  int32    `json:"maxEntriesPerMember"`
	WinnerProbability    *float64 `json:"winnerProbability"`
	NextEntryProbability *float64 `json:"nextEntryProbability"`
	OpensAt              *string  `json:"opensAt"`
	ClosesAt             *string  `json:"closesAt"`
	At                   *string  `json:"at"`

	// The fields of a raffle that the service draws. Other raffles have none of them.
	Rule           string    `json:"rule,omitempty"`
	Prizes         []prize   `json:"prizes,omitempty"`
	Holders        []holders `json:"holders,omitempty"`
	LogSize        int64     `json:"logSize,omitempty"`
	LogRoot        []byte    `json:"logRoot,omitempty"` // in Base64
	Checkpoint     string    `json:"checkpoint,omitempty"`
	DrawsAt        *string   `json:"drawsAt,omitempty"`
	Round          int64     `json:"round,omitempty"`
	Alternates     int32     `json:"alternates,omitempty"`
	WinningTickets []ticket  `json:"winningTickets,omitempty"`
}

// prize is one kind of prize.
type prize struct {
	Name  string `json:"name"`
	Count int32  `json:"count"`
}

// holders counts members that have the same number of entries.
type holders struct {
	Entries int32 `json:"entries"`
	Members int64 `json:"members"`
}

// ticket is a ticket that holds a prize.
type ticket struct {
	Ticket int64 `json:"ticket"`
	Prize  int32 `json:"prize,omitempty"` // which of the prizes, from 1
}

// noEpoch is the epoch of odds that come from a participation which knows no epochs.
const noEpoch = "0"

// maxEpoch is the length of the longest epoch.
const maxEpoch = 32

// isEpoch reports whether text may be an epoch: letters, digits and hyphens.
func isEpoch(text string) bool {
	const allowed = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-"
	return text != "" && len(text) <= maxEpoch && strings.Trim(text, allowed) == ""
}

// Decode decodes an encoded raffle.v1.Odds. It fails if payload is not one, or has
// no raffle id, version or epoch that could be right.
func Decode(payload []byte) (*Update, error) {
	var m rafflev1.Odds
	if err := proto.Unmarshal(payload, &m); err != nil {
		return nil, fmt.Errorf("decode odds: %w", err)
	}
	epoch := cmp.Or(m.GetEpoch(), noEpoch)
	switch {
	case m.GetId() <= 0 || m.GetVersion() <= 0:
		return nil, errors.New("decode odds: no raffle id or version")
	case m.GetVersion() > oddsstream.MaxVersion:
		return nil, errors.New("decode odds: the version is too high to be right")
	case !isEpoch(epoch):
		return nil, errors.New("decode odds: malformed epoch")
	}
	v := view{
		ID:                   m.GetId(),
		Epoch:                epoch,
		Version:              m.GetVersion(),
		State:                m.GetState().String(),
		Title:                m.GetTitle(),
		Entries:              m.GetEntries(),
		Members:              m.GetMembers(),
		Winners:              m.GetWinners(),
		MaxEntriesPerMember:  m.GetMaxEntriesPerMember(),
		WinnerProbability:    m.WinnerProbability,
		NextEntryProbability: m.NextEntryProbability,
		OpensAt:              timestamp(m.GetOpensAt()),
		ClosesAt:             timestamp(m.GetClosesAt()),
		At:                   timestamp(m.GetAt()),
	}
	v.addDraw(&m)
	u, err := encode(v)
	if err != nil {
		return nil, err
	}
	u.MembersOnly = m.GetVisibility() == rafflev1.Raffle_MEMBERS
	u.Removed = m.GetRemoved()
	u.Final = isFinal(m.GetState(), v.DrawsAt) || u.Removed
	u.At = m.GetAt().AsTime()
	u.Entries, u.OpensAt, u.ClosesAt = m.GetEntries(), milliseconds(m.GetOpensAt()), milliseconds(m.GetClosesAt())
	return u, nil
}

// addDraw adds the fields of a raffle that the service draws.
func (v *view) addDraw(m *rafflev1.Odds) {
	if m.GetRule() != rafflev1.Raffle_RULE_UNSPECIFIED {
		v.Rule = m.GetRule().String()
	}
	for _, p := range m.GetPrizes() {
		v.Prizes = append(v.Prizes, prize{p.GetName(), p.GetCount()})
	}
	for _, h := range m.GetHolders() {
		v.Holders = append(v.Holders, holders{h.GetEntries(), h.GetMembers()})
	}
	for _, t := range m.GetWinningTickets() {
		v.WinningTickets = append(v.WinningTickets, ticket{t.GetTicket(), t.GetPrize()})
	}
	v.LogSize, v.LogRoot, v.Checkpoint = m.GetLogSize(), m.GetLogRoot(), m.GetCheckpoint()
	v.DrawsAt, v.Round, v.Alternates = timestamp(m.GetDrawsAt()), m.GetRound(), m.GetAlternates()
}

// isFinal reports whether the odds will no longer change: a closed raffle whose draw
// lies ahead will have its winners.
func isFinal(state rafflev1.Raffle_State, drawsAt *string) bool {
	return state > rafflev1.Raffle_CLOSED || state == rafflev1.Raffle_CLOSED && drawsAt == nil
}

// encode returns the update that a view shows.
func encode(v view) (*Update, error) {
	data, err := json.Marshal(v)
	if err != nil { // a number that JSON cannot express
		return nil, fmt.Errorf("encode odds: %w", err)
	}
	id := AppendID(nil, v.ID, v.Epoch, v.Version)
	frame := sse.AppendEvent(nil, string(id), Event, data)
	end := len(frame) - len("\n\n")
	return &Update{
		RaffleID: v.ID,
		Epoch:    v.Epoch,
		Version:  v.Version,
		State:    v.State,
		JSON:     frame[end-len(data) : end : end],
		Frame:    frame,
		Body:     frame[bytes.IndexByte(frame, '\n')+1:],
	}, nil
}

// Removal returns the last update of a raffle's life whose newest is u, and which does
// not exist any more. It is what participation publishes for such a raffle.
func Removal(u *Update) (*Update, error) {
	var v view
	if err := json.Unmarshal(u.JSON, &v); err != nil {
		return nil, fmt.Errorf("decode odds: %w", err)
	}
	v.Version, v.State, v.NextEntryProbability = u.Version+1, rafflev1.Raffle_CANCELLED.String(), nil
	v.DrawsAt = nil
	removal, err := encode(v)
	if err != nil {
		return nil, err
	}
	removal.Final, removal.Removed, removal.MembersOnly = true, true, u.MembersOnly
	removal.At, removal.Position, removal.Life = u.At, u.Position, u.Life
	return removal, nil
}

// TimeFormat is the format of times, which are in UTC.
const TimeFormat = "2006-01-02T15:04:05.000Z07:00"

func timestamp(t *timestamppb.Timestamp) *string {
	if t == nil {
		return nil
	}
	return new(t.AsTime().Format(TimeFormat))
}

// milliseconds returns a time in Unix milliseconds, 0 for none.
func milliseconds(t *timestamppb.Timestamp) int64 {
	if t == nil {
		return 0
	}
	return t.AsTime().UnixMilli()
}

// ID returns the event id of an update: <raffle>:<epoch>:<version>.
func ID(u *Update) string { return string(AppendID(nil, u.RaffleID, u.Epoch, u.Version)) }

// AppendID appends the event id of a version.
func AppendID(b []byte, raffleID int64, epoch string, version int64) []byte {
	b = strconv.AppendInt(b, raffleID, 10)
	b = append(append(append(b, ':'), epoch...), ':')
	return strconv.AppendInt(b, version, 10)
}

// Seen is what a client has of a raffle. The zero value is nothing.
type Seen struct {
	Epoch   string
	Version int64
}

// ParseIDs parses the ids of several raffles, separated by commas, and calls yield
// with each valid one.
func ParseIDs(ids string, yield func(raffleID int64, seen Seen)) {
	for id := range strings.SplitSeq(ids, ",") {
		if raffleID, seen, ok := ParseID(id); ok {
			yield(raffleID, seen)
		}
	}
}

// ParseID parses an event id and reports whether it is valid. Clients send event
// ids back as Last-Event-ID. An id without an epoch, <raffle>:<version>, is from a
// gateway that knows no epochs.
func ParseID(id string) (raffleID int64, seen Seen, ok bool) {
	before, after, _ := strings.Cut(id, ":")
	raffleID, err := strconv.ParseInt(before, 10, 64)
	if err != nil || raffleID <= 0 {
		return 0, Seen{}, false
	}
	epoch, text, hasEpoch := strings.Cut(after, ":")
	if !hasEpoch {
		epoch, text = noEpoch, after
	}
	version, err := strconv.ParseInt(text, 10, 64)
	if err != nil || version <= 0 || !isEpoch(epoch) {
		return 0, Seen{}, false
	}
	return raffleID, Seen{epoch, version}, true
}
