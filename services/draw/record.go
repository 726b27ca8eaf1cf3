package draw

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
)

// Record is a decoded record: a Rules, Entry, Withdrawal, Close, Draw, Strike, Redraw,
// Cancel or Restored.
type Record interface {
	// check returns an error if a value is out of bounds.
	check() error
	// apply replays the record, whose bytes are given, or says why it may not stand there.
	apply(l *Log, record []byte) error
}

// The first byte of a record is its kind. These two have a binary body; those of
// jsonRecords, by kind, have a body in JSON.
const kindEntry, kindWithdrawal = 2, 3

var jsonRecords = [...]Record{1: Rules{}, 4: Close{}, 5: Draw{}, 6: Strike{}, 7: Redraw{}, 8: Cancel{}, 9: Restored{}}

type (
	// Rules is what the raffle is about.
	Rules struct {
		Format              string  `json:"format"` // Format
		Raffle              int64   `json:"raffle"`
		Title               string  `json:"title"`
		Prizes              []Prize `json:"prizes"`
		Rule                Rule    `json:"rule"`
		MaxEntriesPerMember int64   `json:"maxEntriesPerMember"`
		Alternates          int64   `json:"alternates"`
		Chain               string  `json:"chain"`        // the hash of the chain that draws
		DelaySeconds        int64   `json:"delaySeconds"` // between the close and the round, at least
		OpensAt             *Time   `json:"opensAt"`
		ClosesAt            *Time   `json:"closesAt"`
	}
	// Prize is one or several like prizes.
	Prize struct {
		Name  string `json:"name"`
		Count int64  `json:"count"`
	}
	// Entry is an entry. Its index in the log is the ticket number.
	Entry struct {
		Ordinal uint32 // numbers the member's entries, from 1
		Tag     Tag
	}
	// Withdrawal makes a ticket void.
	Withdrawal struct{ Ticket int64 }
	// Close ends entries and names the round of drawing 1, which is not out yet.
	Close struct {
		ClosedAt Time            `json:"closedAt"`
		Drawing  int             `json:"drawing"` // 1
		Round    uint64          `json:"round"`
		Entries  int64           `json:"entries"` // that are not withdrawn
		Members  int64           `json:"members"` // that have such entries
		Rules    json.RawMessage `json:"rules"`   // the body of the newest RULES record, as it stands there
	}
	// Draw carries out a drawing.
	Draw struct {
		Drawing   int      `json:"drawing"`
		Round     uint64   `json:"round"`
		Signature HexBytes `json:"signature"` // the chain's, of the round
	}
	// Strike disqualifies a ticket that has a place.
	Strike struct {
		Ticket int64  `json:"ticket"`
		Reason string `json:"reason"` // one of Reasons
	}
	// Redraw names the round of a further drawing, for the vacant prizes.
	Redraw struct {
		At      Time   `json:"at"`
		Drawing int    `json:"drawing"` // from 2
		Round   uint64 `json:"round"`
	}
	// Cancel ends a raffle without a drawing.
	Cancel struct {
		At Time `json:"at"`
	}
	// Restored begins the log that takes the place of one that lost records.
	Restored struct {
		SeenSize int64 `json:"seenSize"` // of the lost log, as it was published
		SeenRoot Hash  `json:"seenRoot"`
	}
)

// Format names the formats of this package in the rules. A verifier refuses any other.
const Format = "rafflecast/1"

// Bounds of a record.
const (
	MaxRecord           = 64 << 10 // bytes
	MaxPrizes           = 1_000_000
	MaxEntriesPerMember = 1000
	MaxDelaySeconds     = 7 * 24 * 60 * 60
)

// Rule says which tickets can win after others did.
type Rule string

// Under EntryWins every ticket can win, under MemberWinsOnce only one of each member.
const (
	EntryWins      Rule = "ENTRY_WINS"
	MemberWinsOnce Rule = "MEMBER_WINS_ONCE"
)

// Reasons are why a ticket can lose its place. There is no free text: it would be
// personal data for ever.
var Reasons = []string{"UNCLAIMED", "DECLINED", "INELIGIBLE", "DUPLICATE", "OTHER"}

// AppendEntry appends the record of an entry to b. It equals Encode, without its checks.
func AppendEntry(b []byte, ordinal uint32, tag Tag) []byte {
	b = binary.BigEndian.AppendUint32(append(b, kindEntry), ordinal)
	return append(b, tag[:]...)
}

// Encode returns the bytes of a record. It fails if Decode would refuse them.
func Encode(r Record) (b []byte, err error) {
	switch r := r.(type) {
	case Entry:
		b = AppendEntry(nil, r.Ordinal, r.Tag)
	case Withdrawal:
		b = binary.BigEndian.AppendUint64([]byte{kindWithdrawal}, uint64(r.Ticket))
	default:
		for kind, known := range jsonRecords {
			if known != nil && reflect.TypeOf(known) == reflect.TypeOf(r) {
				b = append([]byte{byte(kind)}, marshal(r)...)
			}
		}
	}
	_, err = Decode(b)
	return b, err
}

// Decode returns the record that b encodes. It refuses everything that the formats do not
// have: an unknown kind, format, rule or reason, another form of a time, JSON fields
// that are unknown, missing, doubled or in another order, another length, values out of
// bounds.
func Decode(b []byte) (Record, error) {
	switch {
	case len(b) == 0 || len(b) > MaxRecord:
		return nil, fmt.Errorf("a record has 1 to %d bytes, not %d", MaxRecord, len(b))
	case b[0] == kindEntry:
		return decodeEntry(b)
	case b[0] == kindWithdrawal:
		if len(b) != 1+8 || binary.BigEndian.Uint64(b[1:]) >= MaxSize {
			return nil, fmt.Errorf("%x is no withdrawal", b)
		}
		return Withdrawal{int64(binary.BigEndian.Uint64(b[1:]))}, nil
	case int(b[0]) >= len(jsonRecords) || jsonRecords[b[0]] == nil:
		return nil, fmt.Errorf("unknown kind of record %d", b[0])
	}
	v := reflect.New(reflect.TypeOf(jsonRecords[b[0]]))
	if err := unmarshal(b[1:], v.Interface()); err != nil {
		return nil, err
	}
	r := v.Elem().Interface().(Record)
	return r, r.check()
}

// decodeEntry is Decode for entries, without an allocation.
func decodeEntry(b []byte) (e Entry, err error) {
	if len(b) != 1+4+len(e.Tag) || binary.BigEndian.Uint32(b[1:]) == 0 {
		return e, fmt.Errorf("%x is no entry", b)
	}
	return Entry{binary.BigEndian.Uint32(b[1:]), Tag(b[5:])}, nil
}

// What these leave out is checked by apply, which knows more.
func (Entry) check() error      { return nil }
func (Withdrawal) check() error { return nil }
func (Close) check() error      { return nil }
func (Redraw) check() error     { return nil }
func (Cancel) check() error     { return nil }
func (r Restored) check() error { return within("seenSize", r.SeenSize, 1, MaxSize) }

func (d Draw) check() error {
	return within("bytes of the signature", int64(len(d.Signature)), signatureSize, signatureSize)
}

func (s Strike) check() error {
	if !slices.Contains(Reasons, s.Reason) {
		return fmt.Errorf("unknown reason %q", s.Reason)
	}
	return nil
}

func (r Rules) check() error {
	if r.Format != Format || r.Rule != EntryWins && r.Rule != MemberWinsOnce {
		return fmt.Errorf("unknown format %q or rule %q", r.Format, r.Rule)
	}
	for _, p := range r.Prizes {
		if err := within("count of a prize", p.Count, 1, MaxPrizes); err != nil {
			return err
		}
	}
	return errors.Join(
		within("raffle", r.Raffle, 1, 1<<63-1),
		within("number of prizes", r.Winners(), 1, MaxPrizes),
		within("maxEntriesPerMember", r.MaxEntriesPerMember, 1, MaxEntriesPerMember),
		within("alternates", r.Alternates, 0, MaxPrizes),
		within("delaySeconds", r.DelaySeconds, 1, MaxDelaySeconds))
}

// Winners returns how many tickets win a prize.
func (r Rules) Winners() (n int64) {
	for _, p := range r.Prizes {
		n += p.Count
	}
	return n
}

func within(field string, n, least, most int64) error {
	if n < least || n > most {
		return fmt.Errorf("%s: %d is not within %d and %d", field, n, least, most)
	}
	return nil
}
