package grpcapi

import (
	"encoding/binary"
	"errors"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
	"github.com/rafflecast/rafflecast/services/draw"
	"github.com/rafflecast/rafflecast/services/participation/internal/raffle"
	"github.com/rafflecast/rafflecast/services/participation/internal/rafflepb"
)

// entered is the response to an entry that was placed, with all that it does not share in
// one piece of memory. For the codec it stands for an EnterStreamResponse.
type entered struct {
	correlationID int64
	odds          *sharedOdds
	resp          rafflev1.EnterResponse // without the odds
	entry         rafflev1.Entry
}

func newEntered(correlationID int64, res *raffle.EnterResult, odds *sharedOdds) *entered {
	e := &entered{correlationID: correlationID, odds: odds}
	rafflepb.SetEntry(&e.entry, &res.Entry)
	e.resp.Entry, e.resp.MemberEntries, e.resp.Replayed = &e.entry, res.MemberEntries, res.Replayed
	if res.Opening != (draw.Opening{}) { // the raffle has a log
		e.resp.Opening = res.Opening[:]
	}
	return e
}

// whole returns the response with its odds.
func (e *entered) whole() *rafflev1.EnterResponse {
	e.resp.Odds = e.odds.message
	return &e.resp
}

// sharedOdds are odds that many responses have. They are encoded once.
type sharedOdds struct {
	of      *raffle.Raffle
	message *rafflev1.Odds
	encoded []byte // an EnterResponse that has nothing but the odds
	err     error
}

func newSharedOdds(of *raffle.Raffle) *sharedOdds {
	odds := rafflepb.Odds(*of)
	encoded, err := proto.Marshal(&rafflev1.EnterResponse{Odds: odds})
	return &sharedOdds{of, odds, encoded, err}
}

// marshal encodes the response and its odds one behind the other, which is the encoding of
// a message that has both: https://protobuf.dev/programming-guides/encoding/#last-one-wins
func (e *entered) marshal() ([]byte, error) {
	const correlationID, result = 1, 2 // fields of EnterStreamResponse
	size := proto.Size(&e.resp) + len(e.odds.encoded)
	buf := make([]byte, 0, 2*(1+binary.MaxVarintLen64)+size)
	if e.correlationID != 0 {
		buf = protowire.AppendTag(buf, correlationID, protowire.VarintType)
		buf = protowire.AppendVarint(buf, uint64(e.correlationID))
	}
	buf = protowire.AppendTag(buf, result, protowire.BytesType)
	buf = protowire.AppendVarint(buf, uint64(size))
	buf, err := proto.MarshalOptions{UseCachedSize: true}.MarshalAppend(buf, &e.resp)
	return append(buf, e.odds.encoded...), errors.Join(err, e.odds.err)
}
