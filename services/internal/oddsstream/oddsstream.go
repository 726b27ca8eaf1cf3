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

// Names are the names of a stream of odds and its subjects. The zero value has no
// prefix.
type Names struct {
	// Prefix separates environments that share a NATS cluster.
	Prefix string
}

// Stream returns the name of the stream.
func (n Names) Stream() string {
	if n.Prefix == "" {
		return Name
	}
	return strings.ToUpper(n.Prefix) + "_" + Name
}

// AllStored returns what matches the subject of every raffle in the stream.
func (n Names) AllStored() string { return n.subject(AllStored) }

// AllLive returns what matches every subject on which the server republishes what it
// has stored.
func (n Names) AllLive() string { return n.subject(AllLive) }

// Subject returns the subject under which a raffle's odds are stored.
func (n Names) Subject(raffleID int64) string { return n.subject(Subject(raffleID)) }

// RaffleID returns the raffle of a stored or live subject, and reports whether the
// subject is one of these.
func (n Names) RaffleID(subject string) (int64, bool) {
	subject, ok := strings.CutPrefix(subject, n.subject(""))
	if !ok {
		return 0, false
	}
	return RaffleID(subject)
}

func (n Names) subject(s string) string {
	if n.Prefix == "" {
		return s
	}
	return n.Prefix + "." + s
}

// The keys of the stream's metadata.
const (
	// DatabaseKey holds the id of the database whose odds the stream holds. Only
	// services on that database may publish.
	DatabaseKey = "rafflecast.database"
	// ReconciledKey holds "true" once the stream has all raffles of the database. Before
	// that, a raffle that is not in the stream may exist nevertheless.
	ReconciledKey = "rafflecast.reconciled"
)

// Reconciled reports whether the stream with this metadata has all raffles of its
// database. Earlier versions of participation write no metadata, so a stream without
// ours counts as reconciled.
func Reconciled(metadata map[string]string) bool {
	return metadata[ReconciledKey] == "true" || metadata[DatabaseKey] == "" && metadata[ReconciledKey] == ""
}

// MaxVersion is the highest version of a raffle that a reader may believe. A message
// with a higher one is damage: nothing could be newer.
const MaxVersion = 1 << 62
