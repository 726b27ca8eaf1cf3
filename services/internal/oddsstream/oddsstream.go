// Package oddsstream defines what participation and gateway share on NATS: the
// stream of odds, its subjects, its configuration and metadata, and how it is read.
package oddsstream

import (
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Names are the names of a stream of odds and its subjects. The zero value has no
// prefix.
type Names struct {
	// Prefix separates environments that share a NATS cluster. CheckPrefix says what it
	// may be.
	Prefix string
}

// The names without a prefix, as Names{} returns them.
const (
	Name      = "RAFFLE_ODDS"
	AllStored = stored + "*"
	AllLive   = live + "*"

	stored = "raffle.odds."
	live   = "raffle.live."
)

// maxPrefix is the length of the longest prefix.
const maxPrefix = 32

// CheckPrefix returns an error unless prefix can be the prefix of Names: lower-case
// letters, digits and hyphens, at most 32.
func CheckPrefix(prefix string) error {
	const allowed = "abcdefghijklmnopqrstuvwxyz0123456789-"
	if len(prefix) > maxPrefix || strings.Trim(prefix, allowed) != "" {
		return errors.New("the prefix of the stream's names may have lower-case letters, digits and hyphens, at most 32")
	}
	return nil
}

// Stream returns the name of the stream, which keeps each raffle's newest odds and a
// few before them. A message is an encoded raffle.v1.Odds.
func (n Names) Stream() string {
	if n.Prefix == "" {
		return Name
	}
	return strings.ToUpper(n.Prefix) + "_" + Name
}

// AllStored returns what matches the subject of every raffle in the stream.
func (n Names) AllStored() string { return n.subject(AllStored) }

// AllLive returns what matches every subject on which the server republishes what it has
// stored.
func (n Names) AllLive() string { return n.subject(AllLive) }

// Gateways returns the subject on which gateways tell each other that they have room.
func (n Names) Gateways() string { return n.subject("raffle.gateways") }

// Subject returns the subject under which a raffle's odds are stored.
func (n Names) Subject(raffleID int64) string {
	return n.subject(stored + strconv.FormatInt(raffleID, 10))
}

// RaffleID returns the raffle of a stored or live subject, and reports whether the
// subject is one of these. Each raffle has one spelling of its id: 07 or +7 is none.
func (n Names) RaffleID(subject string) (int64, bool) {
	subject, ok := strings.CutPrefix(subject, n.subject(""))
	if !ok {
		return 0, false
	}
	token, ok := strings.CutPrefix(subject, live)
	if !ok {
		token, ok = strings.CutPrefix(subject, stored)
	}
	id, err := strconv.ParseUint(token, 10, 63)
	return int64(id), ok && err == nil && token[0] != '0'
}

func (n Names) subject(s string) string {
	if n.Prefix == "" {
		return s
	}
	return n.Prefix + "." + s
}

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

// Config returns the configuration of the stream with this many replicas.
//
// The server republishes each stored message on AllLive, with its sequence in a
// header. So readers get stored messages only, and can tell from the sequences
// whether they missed one, for the price of one core subscription.
func (n Names) Config(replicas int) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name:              n.Stream(),
		Description:       "Newest odds of each raffle",
		Subjects:          []string{n.AllStored()},
		Retention:         jetstream.LimitsPolicy,
		Discard:           jetstream.DiscardOld,
		MaxMsgsPerSubject: int64(MessagesPerSubject),
		Storage:           jetstream.FileStorage,
		Replicas:          replicas,
		AllowDirect:       true,
		RePublish:         &jetstream.RePublish{Source: n.AllStored(), Destination: n.subject(live + "{{wildcard(1)}}")},
	}
}

// Subject returns the subject of a raffle without a prefix.
func Subject(raffleID int64) string { return Names{}.Subject(raffleID) }

// RaffleID returns the raffle of a subject without a prefix, and reports whether the
// subject is one of these.
func RaffleID(subject string) (int64, bool) { return Names{}.RaffleID(subject) }

// Config returns the configuration of the stream without a prefix.
func Config(replicas int) jetstream.StreamConfig { return Names{}.Config(replicas) }

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

// MaxVersion is above every version of a raffle. A message with this version or a
// higher one is damage: readers ignore it, since nothing could be newer.
const MaxVersion = 1 << 62
