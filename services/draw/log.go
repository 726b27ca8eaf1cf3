package draw

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Log replays the log of one raffle record by record, checks that each is allowed where
// it stands, and carries out the drawings. What it says is a pure function of the
// records. It takes about 50 bytes per entry. It is not safe for concurrent use.
type Log struct {
	origin   string
	chains   []*Chain
	anyChain bool // signatures of an unknown chain are taken unverified; only Verify sets it

	tree      Tree
	rules     Rules
	rulesBody []byte
	members   members
	tickets   []uint32 // by index: number+1 of the entry's member, and flags; else 0
	entries   int64    // that are not withdrawn
	holders   int64    // members that have such entries
	cancelled bool
	closed    *Close
	size      int64 // the index of CLOSE, so the number of tickets to draw from
	chain     *Chain

	announced    *announcement
	drawings     []Drawing
	drawnTickets int64
	drawnMembers int64
	places       []int64 // tickets by prize and place; Vacant if there is none
	alternates   []int64
	cautions     []string
}

// The flags of a ticket, beside its member's number.
const (
	withdrawnFlag = 1 << 31
	drawnFlag     = 1 << 30
	memberMask    = drawnFlag - 1
)

// announcement is a drawing that lies ahead: its round is fixed.
type announcement struct {
	drawing int
	round   uint64
	head    Checkpoint // of the log up to CLOSE or REDRAW
}

// ErrUnknownChain is returned by Append for a CLOSE if the rules name a chain that NewLog
// was not given.
var ErrUnknownChain = errors.New("unknown chain")

// NewLog returns an empty log. chains are those that it may be drawn from.
func NewLog(origin string, chains ...*Chain) *Log { return &Log{origin: origin, chains: chains} }

// Append replays the next record. A DRAW carries out its drawing, after its signature was
// verified. After an error the log must not be used further.
func (l *Log) Append(record []byte) error {
	l.tickets = append(l.tickets, 0)
	if err := l.apply(record); err != nil {
		return fmt.Errorf("record %d: %w", l.tree.Size, err)
	}
	l.tree.Append(LeafHash(record))
	if l.announced != nil && l.announced.head.Size == 0 {
		l.announced.head = l.Head()
	}
	return nil
}

func (l *Log) apply(record []byte) error {
	if l.tree.Size == MaxSize {
		return fmt.Errorf("a log has at most %d records", MaxSize)
	}
	if len(record) > 0 && record[0] == kindEntry {
		e, err := decodeEntry(record)
		if err != nil {
			return err
		}
		return e.apply(l, record)
	}
	r, err := Decode(record)
	if err != nil {
		return err
	}
	return r.apply(l, record)
}

func (l *Log) caution(format string, args ...any) {
	l.cautions = append(l.cautions, fmt.Sprintf("record %d: ", l.tree.Size)+fmt.Sprintf(format, args...))
}

// needOpen returns an error unless entries are taken here.
func (l *Log) needOpen() error {
	switch {
	case l.rulesBody == nil:
		return errors.New("it stands before the rules")
	case l.closed != nil:
		return errors.New("it stands after the close")
	case l.cancelled:
		return errors.New("it stands after the cancellation")
	}
	return nil
}

func (r Restored) apply(l *Log, _ []byte) error {
	if l.tree.Size > 0 {
		return errors.New("a log can only begin as restored")
	}
	l.caution("a restore of the database lost records of an earlier log, which had %d", r.SeenSize)
	return nil
}

func (r Rules) apply(l *Log, record []byte) error {
	logName, _, _ := strings.Cut(l.origin, "/raffle/")
	if !strings.HasPrefix(l.origin+"/", Origin(logName, r.Raffle, 1)+"/") {
		return fmt.Errorf("the rules are those of raffle %d, the log is %s", r.Raffle, l.origin)
	}
	if old := l.rules; l.rulesBody != nil {
		if err := l.needOpen(); err != nil {
			return err
		}
		if r.Raffle != old.Raffle || r.Rule != old.Rule || r.Chain != old.Chain || r.DelaySeconds != old.DelaySeconds ||
			r.Alternates != old.Alternates || r.MaxEntriesPerMember != old.MaxEntriesPerMember {
			return errors.New("the rules change more than title, prizes and times")
		}
		if l.members.count > 0 {
			l.caution("the rules changed after the first entry")
		}
	}
	l.rules, l.rulesBody = r, bytes.Clone(record[1:])
	return nil
}

func (e Entry) apply(l *Log, _ []byte) error {
	if err := l.needOpen(); err != nil {
		return err
	}
	number := l.members.number(e.Tag)
	m := l.members.get(number)
	if m.live >= uint16(l.rules.MaxEntriesPerMember) {
		return fmt.Errorf("the member has %d entries already, all that the rules allow", m.live)
	}
	if m.live == 0 {
		l.holders++
	}
	m.live++
	l.entries++
	l.tickets[l.tree.Size] = number + 1
	return nil
}

func (w Withdrawal) apply(l *Log, _ []byte) error {
	if err := l.needOpen(); err != nil {
		return err
	}
	if w.Ticket >= l.tree.Size || l.tickets[w.Ticket] == 0 || l.tickets[w.Ticket]&withdrawnFlag != 0 {
		return fmt.Errorf("ticket %d is no entry, or is withdrawn already", w.Ticket)
	}
	m := l.members.get(l.tickets[w.Ticket] - 1)
	l.tickets[w.Ticket] |= withdrawnFlag
	m.live--
	l.entries--
	if m.live == 0 {
		l.holders--
	}
	return nil
}

func (Cancel) apply(l *Log, _ []byte) error {
	err := l.needOpen()
	l.cancelled = true
	return err
}

func (c Close) apply(l *Log, _ []byte) error {
	if err := l.needOpen(); err != nil {
		return err
	}
	if !bytes.Equal(c.Rules, l.rulesBody) {
		return errors.New("the rules are not those of the newest RULES record")
	}
	if c.Entries != l.entries || c.Members != l.holders {
		return fmt.Errorf("it counts %d entries of %d members, the log has %d of %d", c.Entries, c.Members, l.entries, l.holders)
	}
	if c.Drawing != 1 {
		return fmt.Errorf("the first drawing is 1, not %d", c.Drawing)
	}
	at := slices.IndexFunc(l.chains, func(c *Chain) bool { return c.Hash == l.rules.Chain })
	if at >= 0 {
		l.chain = l.chains[at]
	} else if !l.anyChain {
		return fmt.Errorf("%w: %s", ErrUnknownChain, l.rules.Chain)
	}
	l.cautionOfClose(c)
	l.closed, l.size = &c, l.tree.Size
	l.places = make([]int64, l.rules.Winners())
	return l.announce(c.Drawing, c.ClosedAt, c.Round)
}

func (l *Log) cautionOfClose(c Close) {
	const minute, short = 60_000_000, 60
	if at := l.rules.ClosesAt; at != nil && (c.ClosedAt < *at || c.ClosedAt > *at+minute) {
		l.caution("the raffle was closed at %v, by its rules it closes at %v", c.ClosedAt, *at)
	}
	if l.rules.DelaySeconds < short {
		l.caution("viewers had only %d s to keep the closing checkpoint before the round", l.rules.DelaySeconds)
	}
}

func (r Redraw) apply(l *Log, _ []byte) error {
	switch {
	case len(l.drawings) == 0 || l.announced != nil:
		return errors.New("there can't be another drawing before the first, or while one lies ahead")
	case r.Drawing != len(l.drawings)+1:
		return fmt.Errorf("the next drawing is %d, not %d", len(l.drawings)+1, r.Drawing)
	case !slices.Contains(l.places, Vacant):
		return errors.New("no prize is vacant")
	case r.Round <= l.drawings[len(l.drawings)-1].Round:
		return fmt.Errorf("round %d was out at the drawing before", r.Round)
	}
	return l.announce(r.Drawing, r.At, r.Round)
}

// announce fixes the round of a drawing: the first one that is out the rules' delay after
// a time. So nobody can choose it.
func (l *Log) announce(drawing int, at Time, round uint64) error {
	if l.chain != nil {
		if want := l.chain.RoundAt(at + Time(l.rules.DelaySeconds*1e6)); round != want {
			return fmt.Errorf("it names round %d, the first one %d s after %v is %d", round, l.rules.DelaySeconds, at, want)
		}
	}
	l.announced = &announcement{drawing: drawing, round: round}
	return within("round", int64(round), 1, 1<<53) // which JavaScript can tell apart
}

// Head returns the checkpoint of the records so far.
func (l *Log) Head() Checkpoint { return Checkpoint{l.origin, l.tree.Size, l.tree.Root()} }

// Rules returns the newest rules.
func (l *Log) Rules() Rules { return l.rules }

// Counts returns how many entries are not withdrawn, and how many members have such ones.
func (l *Log) Counts() (entries, members int64) { return l.entries, l.holders }

// Next returns the drawing that lies ahead, its round, and the checkpoint of the log up
// to the record that fixed the round. ok is false if none lies ahead.
func (l *Log) Next() (drawing int, round uint64, head Checkpoint, ok bool) {
	if l.announced == nil {
		return 0, 0, Checkpoint{}, false
	}
	return l.announced.drawing, l.announced.round, l.announced.head, true
}
