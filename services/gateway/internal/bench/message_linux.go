package bench

import (
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
	"github.com/rafflecast/rafflecast/services/gateway/internal/odds"
)

// message returns odds as they travel on NATS.
func message(raffleID, version int64) []byte {
	data, err := proto.Marshal(&rafflev1.Odds{
		RaffleId: raffleID, Version: version, State: rafflev1.RaffleState_RAFFLE_STATE_OPEN, Title: "Signed guitar",
		Entries: version, Members: version, Winners: 1, WinnerProbability: new(100 / float64(version)),
		NextEntryProbability: new(100 / float64(version+1)),
		ClosesAt:             timestamppb.New(time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)), At: timestamppb.Now(),
	})
	if err != nil {
		panic(err) // a defect
	}
	return data
}

// frame returns the same odds as they travel to clients.
func frame(raffleID, version int64) []byte {
	u, err := odds.Decode(message(raffleID, version))
	if err != nil {
		panic(err) // a defect
	}
	return u.Frame
}
