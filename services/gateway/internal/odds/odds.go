// Package odds is the gateway's domain: one version of a raffle's odds, as
// viewers see it, encoded once for all of them.
package odds

import (
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
)

// Event is the name of the event that carries odds.
const Event = "raffle-winning-probability"

// Update is one version of a raffle's odds. It does not change once it is made,
// so any number of goroutines may read it.
type Update struct {
	RaffleID int64
	Version  int64
	State    string    // OPEN and so on, as in the contract
	Final    bool      // no other version will follow
	At       time.Time // when the version was made, by the database's clock
	JSON     []byte    // the event's data
	Frame    []byte    // the event as it goes over the wire
	// Trip, where set, follows it to the connections. It alone changes.
	Trip *Trip
}

// view is the event's data; its names and order are part of the contract.
type view struct {
	ID                   int64    `json:"id"`
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
}

// Decode reads an encoded raffle.v1.Odds. It fails where payload is not one, or
// lacks a raffle id or a version.
func Decode(payload []byte) (*Update, error) {
	var m rafflev1.Odds
	if err := proto.Unmarshal(payload, &m); err != nil {
		return nil, fmt.Errorf("decode odds: %w", err)
	}
	if m.GetId() <= 0 || m.GetVersion() <= 0 {
		return nil, errors.New("decode odds: no raffle id or version")
	}
	state := m.GetState().String()
	data, err := json.Marshal(view{
		ID:                   m.GetId(),
		Version:              m.GetVersion(),
		State:                state,
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
	})
	if err != nil { // a number that JSON has not
		return nil, fmt.Errorf("encode odds: %w", err)
	}
	return &Update{
		RaffleID: m.GetId(),
		Version:  m.GetVersion(),
		State:    state,
		Final:    m.GetState() >= rafflev1.Raffle_CLOSED,
		At:       m.GetAt().AsTime(),
		JSON:     data,
		Frame:    sse.AppendEvent(nil, ID(m.GetId(), m.GetVersion()), Event, data),
	}, nil
}

// TimeFormat is how times are written, in UTC.
const TimeFormat = "2006-01-02T15:04:05.000Z07:00"

func timestamp(t *timestamppb.Timestamp) *string {
	if t == nil {
		return nil
	}
	return new(t.AsTime().Format(TimeFormat))
}

// ID returns the event id of a version: <raffle>:<version>.
func ID(raffleID, version int64) string {
	return strconv.FormatInt(raffleID, 10) + ":" + strconv.FormatInt(version, 10)
}

// ParseIDs reads the ids of several raffles, separated by commas, and calls yield
// with each that is one.
func ParseIDs(ids string, yield func(raffleID, version int64)) {
	for id := range strings.SplitSeq(ids, ",") {
		if raffleID, version, ok := ParseID(id); ok {
			yield(raffleID, version)
		}
	}
}

// ParseID reads an event id. Clients send it back as Last-Event-ID; what is none
// of ours is no error there, only nothing known.
func ParseID(id string) (raffleID, version int64, ok bool) {
	before, after, _ := strings.Cut(id, ":")
	raffleID, err := strconv.ParseInt(before, 10, 64)
	if err != nil || raffleID <= 0 {
		return 0, 0, false
	}
	version, err = strconv.ParseInt(after, 10, 64)
	if err != nil || version <= 0 {
		return 0, 0, false
	}
	return raffleID, version, true
}
