package draw

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"iter"
	"strings"
)

// Input is what Verify checks.
type Input struct {
	Records    iter.Seq2[[]byte, error] // the whole log
	Checkpoint []byte                   // of it, signed
	Key        string                   // the signer's verifier keys, one on a line; "" if none is known
	Chains     []*Chain                 // that are known
	Saved      [][]byte                 // checkpoints and receipts that were kept earlier
	Member     string                   // whose tickets are looked for; "" for nobody's
	Opening    Opening                  // the member's
}

// Outcome is the outcome of a check.
type Outcome string

// The outcomes. Unknown is what can't be told, for want of a key or a chain.
const (
	True    Outcome = "true"
	False   Outcome = "false"
	Unknown Outcome = "unknown"
)

// Check is a statement in one line, and whether it is true.
type Check struct {
	Outcome Outcome `json:"outcome"`
	Text    string  `json:"text"`
}

// Report is what Verify found.
type Report struct {
	Outcome    Outcome   `json:"outcome"` // False if any check is, else Unknown if any is
	Checks     []Check   `json:"checks"`
	Cautions   []string  `json:"cautions"`   // what is allowed, but worth knowing
	Winners    [][]int64 `json:"winners"`    // by prize: the tickets that have its places, or Vacant
	Alternates []int64   `json:"alternates"` // the next one first
	Tickets    []int64   `json:"tickets"`    // of the member
	Log        *Log      `json:"-"`          // as far as its records may stand where they do
}

// add adds a check, which is true without an error.
func (r *Report) add(name string, err error, format string, args ...any) {
	check := Check{True, name + ": " + fmt.Sprintf(format, args...)}
	if err != nil {
		check = Check{False, name + ": " + err.Error()}
	}
	if errors.Is(err, ErrNoKey) || errors.Is(err, ErrUnknownChain) {
		check.Outcome = Unknown
	}
	if check.Outcome == False || r.Outcome == True {
		r.Outcome = check.Outcome
	}
	r.Checks = append(r.Checks, check)
}

// Verify checks a whole log against its signed checkpoint and against what was kept of it
// earlier. It needs nothing else: no clock, no network, no trust in who serves the log.
func Verify(in Input) *Report {
	r := &Report{Outcome: True}
	signed, err := OpenCheckpoint(in.Checkpoint, in.Key)
	r.add("checkpoint", err, "%d records of %s, signed by one of %q", signed.Size, signed.Origin, strings.Fields(in.Key))
	if signed.Size == 0 {
		return r // there is nothing to compare the log with
	}
	r.Log = NewLog(signed.Origin, in.Chains...)
	r.Log.anyChain = true
	kept := openKept(in.Saved, in.Key)
	err = r.replay(in, kept)
	r.add("records", err, "each of the %d is one that may stand there", r.Log.tree.Size)
	r.add("log", same(r.Log.Head(), signed), "the records are those of the checkpoint, none changed, missing, added or moved")
	for i, k := range kept {
		r.add(fmt.Sprintf("saved %d", i+1), k.result(in.Key), "the log begins with the %d records that were kept", k.checkpoint.Size)
	}
	r.addDrawings()
	if in.Member != "" && len(r.Tickets) > 0 {
		r.add("member", nil, "tickets %d", r.Tickets)
	} else if in.Member != "" {
		r.add("member", errors.New("no entry has the tag of this member and opening"), "")
	}
	r.Winners, r.Alternates = r.Log.Winners(), r.Log.Alternates()
	return r
}

// same returns an error unless the log has a checkpoint.
func same(log, checkpoint Checkpoint) error {
	if log != checkpoint {
		return fmt.Errorf("the first %d records of the log have the root %s, the checkpoint of %d is for %s of %s",
			log.Size, log.Root, checkpoint.Size, checkpoint.Root, checkpoint.Origin)
	}
	return nil
}

// replay replays the records, and notes what of them concerns the member and what was
// kept. After a record that may not stand where it does, only the tree goes on.
func (r *Report) replay(in Input, kept []kept) (refused error) {
	l := r.Log
	tag := TagOf(l.origin, in.Member, in.Opening)
	for record, err := range in.Records {
		if err != nil {
			return errors.Join(refused, err)
		}
		if refused == nil {
			refused = l.Append(record)
		}
		if refused != nil {
			l.tree.Append(LeafHash(record))
		}
		last := l.tree.Size - 1
		if e, err := decodeEntry(record); err == nil && record[0] == kindEntry && in.Member != "" && e.Tag == tag {
			r.Tickets = append(r.Tickets, last)
		}
		for i := range kept {
			if kept[i].checkpoint.Size == last+1 {
				kept[i].head = l.Head()
			}
			if kept[i].receipt.Index == last {
				kept[i].record = bytes.Clone(record)
			}
		}
	}
	return refused
}

// addDrawings adds what the close and the drawings say, and the log's cautions.
func (r *Report) addDrawings() {
	l := r.Log
	r.Cautions = append(r.Cautions, l.cautions...)
	if l.closed == nil {
		r.Cautions = append(r.Cautions, "the raffle is not closed")
		return
	}
	var unknown error
	if l.chain == nil {
		unknown = fmt.Errorf("%w: %s; nobody can tell without its description", ErrUnknownChain, l.rules.Chain)
	} else if l.chain.Hash != Quicknet().Hash {
		r.Cautions = append(r.Cautions, "chain "+l.chain.Hash+" is not drand's quicknet: its owner can choose the winners")
	}
	r.add("close", unknown, "%d entries of %d members; round %d is the first one %d s after %v",
		l.closed.Entries, l.closed.Members, l.closed.Round, l.rules.DelaySeconds, l.closed.ClosedAt)
	for _, d := range l.drawings {
		r.add(fmt.Sprintf("drawing %d", d.Number), unknown, "round %d is of the chain; its seed %s draws tickets %d", d.Round, d.Seed, d.Tickets)
	}
	if l.announced != nil {
		r.Cautions = append(r.Cautions, fmt.Sprintf("drawing %d lies ahead", l.announced.drawing))
	}
}

// kept is a checkpoint or receipt that was kept, and what the log has in its place.
type kept struct {
	err        error
	checkpoint Checkpoint
	receipt    Receipt
	head       Checkpoint
	record     []byte
}

func openKept(saved [][]byte, key string) []kept {
	all := make([]kept, len(saved))
	for i, text := range saved {
		k := &all[i]
		k.receipt.Index = -1
		if IsReceipt(text) {
			if k.receipt, k.err = ParseReceipt(text); k.err != nil {
				continue
			}
			text = k.receipt.Checkpoint
		}
		k.checkpoint, k.err = OpenCheckpoint(text, key)
	}
	return all
}

// result returns an error unless the log begins with what was kept.
func (k kept) result(key string) error {
	if k.checkpoint.Size == 0 {
		return k.err
	}
	if err := same(k.head, k.checkpoint); err != nil || k.receipt.Index < 0 {
		return cmp.Or(err, k.err)
	}
	_, err := k.receipt.Open(k.record, key)
	return err
}
