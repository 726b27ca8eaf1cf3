package outbox

import (
	"hash/maphash"
	"time"

	"google.golang.org/protobuf/proto"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
	"github.com/rafflecast/rafflecast/services/internal/oddsstream"
	"github.com/rafflecast/rafflecast/services/participation/internal/raffle"
	"github.com/rafflecast/rafflecast/services/participation/internal/rafflepb"
)

// Message describes a message in the stream.
type Message struct {
	Seq     uint64
	Epoch   string        // of the raffle; empty if the service that published it did not know epochs
	Version int64         // of the raffle
	Content uint64        // equal for odds that differ in nothing but the epoch
	Removed bool          // it says that the raffle does not exist any more
	Damaged bool          // no reader can believe it; Epoch, Version and Content are zero
	Age     time.Duration // by the server's clock

	Log raffle.SeenLog // of the raffle, if it has one

	odds *rafflev1.Odds // nil if the message is damaged, or for a message from Stream.Newest
}

// decode returns the message that holds this data as the odds of a raffle.
func decode(raffleID int64, seq uint64, data []byte) Message {
	m := Message{Seq: seq}
	var odds rafflev1.Odds
	// A newer service may have written fields that we do not know and cannot compare.
	err := proto.UnmarshalOptions{DiscardUnknown: true}.Unmarshal(data, &odds)
	if err != nil || odds.GetId() != raffleID || odds.GetVersion() < 1 || odds.GetVersion() >= oddsstream.MaxVersion {
		m.Damaged = true
		return m
	}
	m.odds, m.Epoch, m.Version, m.Removed = &odds, odds.GetEpoch(), odds.GetVersion(), odds.GetRemoved()
	m.Content = content(&odds)
	m.Log = raffle.SeenLog{
		Life: max(1, odds.GetLogLife()), Size: odds.GetLogSize(), Root: odds.GetLogRoot(), Published: max(odds.GetLogSize(), odds.GetLogSeen()),
	}
	return m
}

// contentSeed makes hashes of content comparable within this process.
var contentSeed = maphash.MakeSeed()

// content returns a hash of odds without their epoch.
func content(odds *rafflev1.Odds) uint64 {
	epoch := odds.GetEpoch()
	odds.Epoch = ""
	defer func() { odds.Epoch = epoch }()
	data, err := proto.MarshalOptions{Deterministic: true}.Marshal(odds)
	if err != nil {
		return 0 // a title that is not UTF-8: it cannot be published either
	}
	return maphash.Bytes(contentSeed, data)
}

// sameLife reports whether two epochs may name the same life of a raffle.
func sameLife(a, b string) bool { return a == b || a == "" || b == "" }

// relation says how the stream relates to a version of a raffle.
type relation int

const (
	equal  relation = iota
	behind          // the stream lacks the version
	ahead           // the stream has what the version lacks or contradicts
)

// relate returns how a raffle's last message relates to a version of the raffle.
func (m *Message) relate(r *raffle.Raffle) relation {
	switch {
	case m.Seq == 0, m.Damaged, !sameLife(m.Epoch, r.Epoch), m.Version < r.Version:
		return behind
	case m.Version > r.Version, m.Content != content(rafflepb.Odds(*r)):
		return ahead
	}
	return equal
}
