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

// MaxFrame bounds the length of a frame in bytes: the contract bounds a title to 200
// characters.
const MaxFrame = 2 << 10

// Update is one version of a raffle's odds. It is immutable, except for Delivery,
// so any number of goroutines may read it.
type Update struct {
	RaffleID int64
	Version  int64
	State    string    // as in the contract: OPEN and so on
	Final    bool      // no other version will follow
	At       time.Time // when the version was made, by the database's clock
	JSON     []byte    // the event's data; a part of Frame
	Frame    []byte    // the event as it is sent
	// Delivery follows the update to the connections. It is nil for an update that
	// was not received live.
	Delivery *Delivery
}

// view is the event's data; the contract fixes its names and their order.
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

// Decode decodes an encoded raffle.v1.Odds. It fails if payload is not one, or lacks
// a raffle id or a version.
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
	if err != nil { // a number that JSON cannot express
		return nil, fmt.Errorf("encode odds: %w", err)
	}
	frame := sse.AppendEvent(nil, ID(m.GetId(), m.GetVersion()), Event, data)
	end := len(frame) - len("\n\n")
	return &Update{
		RaffleID: m.GetId(),
		Version:  m.GetVersion(),
		State:    state,
		Final:    m.GetState() >= rafflev1.Raffle_CLOSED,
		At:       m.GetAt().AsTime(),
		JSON:     frame[end-len(data) : end : end],
		Frame:    frame,
	}, nil
}

// TimeFormat is the format of times, which are in UTC.
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

// ParseIDs parses the ids of several raffles, separated by commas, and calls yield
// with each valid one.
func ParseIDs(ids string, yield func(raffleID, version int64)) {
	for id := range strings.SplitSeq(ids, ",") {
		if raffleID, version, ok := ParseID(id); ok {
			yield(raffleID, version)
		}
	}
}

// ParseID parses an event id and reports whether it is valid. Clients send event
// ids back as Last-Event-ID.
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
