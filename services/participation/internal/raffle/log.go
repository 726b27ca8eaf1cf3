package raffle

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/rafflecast/rafflecast/services/draw"
	"github.com/rafflecast/rafflecast/services/draw/logfile"
	"github.com/rafflecast/rafflecast/services/draw/publish"
)

// Log is the state of a raffle's log, whose records are the tickets of its draw: see
// services/draw. Only the transaction that has loaded it
// changes it; once that is done, raffles share it.
type Log struct {
	Origin     string // names the log
	Tree       draw.Tree
	Chain      string        // the chain of drand that the raffle is drawn with, by its hash
	Delay      time.Duration // between the closing and the round of the draw
	Alternates int32         // tickets that are drawn beyond the winners

	Drawing    int32     // the drawing that lies ahead, or the last one; 0 before the close
	Round      int64     // of that drawing
	DrawsAt    time.Time // when the draw that lies ahead is due; zero: none lies ahead
	Checkpoint string    // the signed checkpoint of the closed log
	Winning    []WinningTicket
	Seen       int64 // records that were published, if the database has lost some of an ended raffle

	appended Records // in the transaction under way
	fixed    Drawing // whose round the transaction has fixed; its number is 0 if it has not
}

// WinningTicket is a ticket that holds a prize.
type WinningTicket struct {
	Ticket int64
	Prize  int32 // which of the prizes, from 1; 0: the winners are alike
}

// MaxWinningTickets bounds how many winning tickets a raffle holds itself.
const MaxWinningTickets = 100

// Records are records that follow one another in a log.
type Records struct {
	First int64 // the index of the first
	Count int32
	Data  []byte // each record as its length in four bytes, big-endian, and its bytes
}

// Size returns the number of records; a raffle without a log has none.
func (l *Log) Size() int64 {
	if l == nil {
		return 0
	}
	return l.Tree.Size
}

// Life numbers the logs of the raffle, from 1: a restore of the database that loses
// records begins another.
func (l *Log) Life() int64 {
	if parts := strings.Split(l.Origin, "/"); len(parts) > 3 {
		if life, err := strconv.ParseInt(parts[len(parts)-1], 10, 64); err == nil {
			return life
		}
	}
	return 1
}

// Restart begins another log of the raffle, since records that were seen are lost. The
// store appends the entries that there are.
func (r *Raffle) Restart(seen SeenLog, now time.Time, draws *Draws) error {
	if draws == nil {
		return ErrDrawsOff
	}
	log := *r.Log
	log.Origin = draw.Origin(draws.Signer.Name(), r.ID, max(log.Life(), seen.Life)+1)
	log.Tree = draw.Tree{}
	r.Log = &log
	restored := draw.Restored{SeenSize: seen.Size}
	copy(restored.SeenRoot[:], seen.Root)
	if err := log.appendEncoded(restored); err != nil {
		return err
	}
	r.bumpVersion(now)
	return log.appendEncoded(r.rules())
}

// NoteLost notes how many records of the log were published, some of which are lost. The
// raffle has ended. The log is shared with other versions, so it is replaced.
func (r *Raffle) NoteLost(published int64, now time.Time) {
	log := *r.Log
	log.Seen = published
	r.Log = &log
	r.bumpVersion(now)
}

// Reenter appends an entry to a log that was begun again, and returns its ticket.
func (r *Raffle) Reenter(memberID string, ordinal int32, secret []byte) int64 {
	key := LogKey{Origin: r.Log.Origin, Openings: publish.NewOpenings(secret)}
	return r.Log.appendEntry(ordinal, key.Tag(memberID).Tag)
}

// DrawAhead reports whether a draw lies ahead.
func (l *Log) DrawAhead() bool { return l != nil && !l.DrawsAt.IsZero() }

// TakeRecords returns what was appended to the log since the raffle was loaded or this
// was called, which the transaction must store.
func (l *Log) TakeRecords() Records {
	if l == nil {
		return Records{}
	}
	taken := l.appended
	l.appended = Records{}
	return taken
}

// TakeFixed returns the drawing whose round was fixed since the raffle was loaded or this
// was called, which the transaction must store. It returns false if there is none.
func (l *Log) TakeFixed() (Drawing, bool) {
	if l == nil {
		return Drawing{}, false
	}
	taken := l.fixed
	l.fixed = Drawing{}
	return taken, taken.Number != 0
}

// fix signs the log that fixes the round of the drawing ahead.
func (l *Log) fix(draws *Draws) error {
	checkpoint, err := l.sign(draws)
	l.fixed = Drawing{Number: l.Drawing, Round: l.Round, DrawsAt: l.DrawsAt, Checkpoint: checkpoint}
	return err
}

// append appends a record, and returns its index.
func (l *Log) append(record []byte) int64 {
	index := l.Tree.Size
	l.Tree.Append(draw.LeafHash(record))
	if l.appended.Count == 0 {
		l.appended.First = index
	}
	l.appended.Count++
	l.appended.Data = logfile.Append(l.appended.Data, record)
	return index
}

// appendEntry appends the record of an entry.
func (l *Log) appendEntry(ordinal int32, tag draw.Tag) int64 {
	var record [64]byte
	return l.append(draw.AppendEntry(record[:0], uint32(ordinal), tag))
}

// appendEncoded appends a record of any kind but an entry.
func (l *Log) appendEncoded(r draw.Record) error {
	record, err := draw.Encode(r)
	if err != nil {
		return fmt.Errorf("encode a record of the log: %w", err)
	}
	l.append(record)
	return nil
}

// rules returns the rules of a raffle with a log, as they are now.
func (r *Raffle) rules() draw.Rules {
	rules := draw.Rules{
		Format: draw.Format, Raffle: r.ID, Title: r.Title, Rule: draw.Rule(r.Rule.String()),
		MaxEntriesPerMember: int64(r.MaxEntriesPerMember), Alternates: int64(r.Log.Alternates), Chain: r.Log.Chain,
		DelaySeconds: int64(r.Log.Delay / time.Second), OpensAt: optionalTime(r.OpensAt), ClosesAt: optionalTime(r.ClosesAt),
	}
	for _, p := range r.About().Prizes {
		rules.Prizes = append(rules.Prizes, draw.Prize{Name: p.Name, Count: int64(p.Count)})
	}
	if len(rules.Prizes) == 0 {
		// The winners are alike, and the title says what is raffled.
		rules.Prizes = []draw.Prize{{Name: r.Title, Count: int64(r.Winners)}}
	}
	return rules
}

func optionalTime(t time.Time) *draw.Time {
	if t.IsZero() {
		return nil
	}
	return new(draw.TimeOf(t))
}

// LogKey is what the openings and tags of a raffle's members are made from.
type LogKey struct {
	RaffleID int64
	Epoch    string            // of the raffle
	Origin   string            // of its log; empty: it has none
	Openings *publish.Openings // nil: it has no log, or was purged
}

// Tag is what stands for a member in a raffle's log. The zero Tag is of no member.
type Tag struct {
	Key     *LogKey
	Opening draw.Opening // given to the member alone
	Tag     draw.Tag     // in the records of the member's entries
}

// Tag returns the tag of a member.
func (k *LogKey) Tag(memberID string) Tag {
	if k.Origin == "" || k.Openings == nil {
		return Tag{Key: k}
	}
	opening := k.Openings.Of(memberID)
	return Tag{Key: k, Opening: opening, Tag: draw.TagOf(k.Origin, memberID, opening)}
}

// fits reports whether the key is that of a raffle as it is now.
func (k *LogKey) fits(r *Raffle) bool {
	return k != nil && k.RaffleID == r.ID && k.Epoch == r.Epoch && k.Origin == r.origin()
}

func (r *Raffle) origin() string {
	if r.Log == nil {
		return ""
	}
	return r.Log.Origin
}

// ErrKeyMissing means that the key of a raffle's log is missing: nobody can enter.
var ErrKeyMissing = errors.New("the raffle's log has no key")
