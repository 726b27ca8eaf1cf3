package bench

import (
	"encoding/json"
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
)

// epoch is as long as participation's.
const epoch = "88f4673f1737"

var closesAt = time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)

// message returns odds as participation publishes them.
func message(raffleID, version int64) []byte {
	return encode(odds(raffleID, version))
}

// drawMessage is message for a raffle that will be drawn.
func drawMessage(raffleID, version int64) []byte {
	o := odds(raffleID, version)
	o.Prizes = []*rafflev1.Prize{{Name: "Signed guitar", Count: 1}}
	o.Holders = []*rafflev1.Holders{{Entries: 1, Members: version}}
	o.LogSize, o.LogRoot = version+1, make([]byte, 32)
	return encode(o)
}

func odds(raffleID, version int64) *rafflev1.Odds {
	return &rafflev1.Odds{
		Id:                   raffleID,
		Epoch:                epoch,
		Version:              version,
		State:                rafflev1.Raffle_OPEN,
		Title:                "Signed guitar",
		Entries:              version,
		Members:              version,
		Winners:              1,
		MaxEntriesPerMember:  1,
		WinnerProbability:    new(100 / float64(version)),
		NextEntryProbability: new(100 / float64(version+1)),
		ClosesAt:             timestamppb.New(closesAt),
		At:                   timestamppb.Now(),
	}
}

func encode(o *rafflev1.Odds) []byte {
	data, err := proto.Marshal(o)
	if err != nil {
		panic(err) // a defect
	}
	return data
}

// frame returns the same odds as the gateway sends them to clients.
func frame(raffleID, version int64) []byte {
	const timeFormat = "2006-01-02T15:04:05.000Z07:00"
	data, err := json.Marshal(struct {
		ID                   int64   `json:"id"`
		Epoch                string  `json:"epoch"`
		Version              int64   `json:"version"`
		State                string  `json:"state"`
		Title                string  `json:"title"`
		Entries              int64   `json:"entries"`
		Members              int64   `json:"members"`
		Winners              int32   `json:"winners"`
		MaxEntriesPerMember  int32   `json:"maxEntriesPerMember"`
		WinnerProbability    float64 `json:"winnerProbability"`
		NextEntryProbability float64 `json:"nextEntryProbability"`
		OpensAt              *string `json:"opensAt"`
		ClosesAt             string  `json:"closesAt"`
		At                   string  `json:"at"`
	}{
		raffleID, epoch, version, "OPEN", "Signed guitar", version, version, 1, 1, 100 / float64(version),
		100 / float64(version+1), nil, closesAt.Format(timeFormat), time.Now().UTC().Format(timeFormat),
	})
	if err != nil {
		panic(err) // a defect
	}
	return fmt.Appendf(nil, "id: %d:%s:%d\nevent: raffle-winning-probability\ndata: %s\n\n",
		raffleID, epoch, version, data)
}
