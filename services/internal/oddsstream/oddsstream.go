// Package oddsstream defines what participation and gateway share on NATS: the
// stream of odds, its subjects, its configuration, and how it is read.
package oddsstream

import (
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Name is the name of the stream that keeps each raffle's newest odds and some
// before them. A message is an encoded raffle.v1.Odds.
const Name = "RAFFLE_ODDS"

const (
	stored = "raffle.odds."
	live   = "raffle.live."
)

// AllStored matches the subject of every raffle in the stream.
const AllStored = stored + "*"

// AllLive matches every subject on which the server republishes what it has
// stored.
const AllLive = live + "*"

const (
	// ConflationInterval is the least time between two messages of one raffle. The
	// relay in participation keeps to it, and gateways have it as their default.
	ConflationInterval = 50 * time.Millisecond

	// LongestRetry is the longest time that a client is asked, by default, to wait
	// before it connects again.
	LongestRetry = 5 * time.Second

	// MessagesPerSubject is how many messages the stream keeps of each raffle, and
	// how many updates a gateway can replay to a client that comes back.
	//
	// A raffle has at most one message per ConflationInterval, so these cover at
	// least twice LongestRetry even if the raffle changes all the time. The factor
	// leaves time to notice that a connection is lost, and for the handshake.
	MessagesPerSubject = int(2 * LongestRetry / ConflationInterval)
)

// Subject returns the subject under which a raffle's odds are stored.
func Subject(raffleID int64) string { return stored + strconv.FormatInt(raffleID, 10) }

// RaffleID returns the raffle of a stored or live subject, and reports whether the
// subject is one of these.
func RaffleID(subject string) (int64, bool) {
	token, ok := strings.CutPrefix(subject, live)
	if !ok {
		token, ok = strings.CutPrefix(subject, stored)
	}
	id, err := strconv.ParseInt(token, 10, 64)
	return id, ok && err == nil && id > 0
}

// Config returns the configuration of the stream with this many replicas.
//
// The server republishes each stored message on AllLive, with its sequence in a
// header. So readers get stored messages only, and can tell from the sequences
// whether they missed one, for the price of one core subscription.
func Config(replicas int) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name:              Name,
		Description:       "Newest odds of each raffle",
		Subjects:          []string{AllStored},
		Retention:         jetstream.LimitsPolicy,
		Discard:           jetstream.DiscardOld,
		MaxMsgsPerSubject: int64(MessagesPerSubject),
		Storage:           jetstream.FileStorage,
		Replicas:          replicas,
		AllowDirect:       true,
		RePublish:         &jetstream.RePublish{Source: AllStored, Destination: live + "{{wildcard(1)}}"},
	}
}
