// Package oddsstream names what participation and gateway share on NATS: the
// stream of odds, its subjects and its configuration.
package oddsstream

import (
	"strconv"
	"strings"

	"github.com/nats-io/nats.go/jetstream"
)

// Name is the stream that keeps each raffle's newest odds, and a few before
// them. A message is an encoded raffle.v1.Odds.
const Name = "RAFFLE_ODDS"

const (
	stored = "raffle.odds."
	live   = "raffle.live."
)

// AllStored matches the subject of every raffle in the stream.
const AllStored = stored + "*"

// AllLive matches every subject on which the server repeats what it has stored.
const AllLive = live + "*"

// perSubject is how many messages are kept per raffle: what a client that was
// away for a moment can be given in order. At the gateway's spacing of 50 ms it
// covers at least 1.6 s, the middle of the range of a browser's retry.
const perSubject = 32

// Subject returns the subject under which a raffle's odds are stored.
func Subject(raffleID int64) string { return stored + strconv.FormatInt(raffleID, 10) }

// RaffleID returns the raffle of a stored or live subject, and whether it is one.
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
// The server repeats each stored message on AllLive, with its sequence in a
// header: readers get stored messages only, and notice what they missed, for
// the price of one core subscription.
func Config(replicas int) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name:              Name,
		Description:       "Newest odds of each raffle",
		Subjects:          []string{AllStored},
		Retention:         jetstream.LimitsPolicy,
		Discard:           jetstream.DiscardOld,
		MaxMsgsPerSubject: perSubject,
		Storage:           jetstream.FileStorage,
		Replicas:          replicas,
		AllowDirect:       true,
		RePublish:         &jetstream.RePublish{Source: AllStored, Destination: live + "{{wildcard(1)}}"},
	}
}
