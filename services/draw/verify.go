package draw

import (
	"bytes"
	"errors"
	"fmt"
	"iter"
)

// Input is what Verify checks.
type Input struct {
	Records    iter.Seq2[[]byte, error] // the whole log
	Checkpoint []byte                   // of it, signed
	Key        string                   // the signer's verifier key; "" if it is not known
	Chains     []*Chain                 // that are known
	Saved      [][]byte                 // checkpoints and receipts that were kept earlier
	Member     string                   // whose tickets are looked for; "" for nobody's
	Opening    Opening                  // the member's
}

// Outcome is the outcome of a check.
type Outcome int

// The outcomes.
const (
	True    Outcome = iota
	False           // something is wrong
	Unknown         // it can't be told, for want of a key or a chain
)

// String returns the word for the outcome.
func (o Outcome) String() string { return [...]string{"true", "FALSE", "unknown"}[o] }

// Check is a statement, and whether it is true.
type Check struct {
	Outcome Outcome
	Text    string // one line
}

// Report is what Verify found.
type Report struct {
	Checks   []Check
	Cautions []string // what is allowed, but worth knowing
	Tickets  []int64  // of the member
	Log      *Log     // nil if a record is not allowed where it stands
}

// Outcome returns False if any check is false, else Unknown if any can't be told.
func (r *Report) Outcome() Outcome {
	worst := True
	for _, c := range r.Checks {
		if c.Outcome == False || worst == True {
			worst = c.Outcome
		}
		if worst == False {
			break
		}
	}
	return worst
}

// add appends a check: False with the error if there is one.
func (r *Report) add(name string, err error, format string, args ...any) {
	check := Check{True, fmt.Sprintf(name+": "+format, args...)}
	switch {
	case errors.Is(err, ErrNoKey) || errors.Is(err, ErrUnknownChain):
		check = Check{Unknown, name + ": " + err.Error()}
	case err != nil:
		check = Check{False, name + ": " + err.Error()}
	}
	r.Checks = append(r.Checks, check)
}

// Verify checks a whole log against its signed checkpoint and against what was kept of it
// earlier. It needs nothing else: no clock, no network, no trust in who serves the log.
func Verify(in Input) *Report {
	r := &Report{}
	signed, err := OpenCheckpoint(in.Checkpoint, in.Key)
	r.add("checkpoint", err, "the key %s has signed %d records of %s", in.Key, signed.Size, signed.Origin)
	if signed.Size == 0 {
		return r // there is nothing to compare the log with
	}
	r.Log = NewLog(signed.Origin, in.Chains...)
	r.Log.anyChain = true
	kept := openKept(in.Saved, in.Key)
	err = r.replay(in, kept)
	r.add("records", err, "each of the %d is one that may stand there", r.Log.tree.size)
	if head := r.Log.Head(); head != signed {
		err = fmt.Errorf("the log has %d records and the root %s, the checkpoint %d and %s", head.Size, head.Root, signed.Size, signed.Root)
	} else {
		err = nil
	}
	r.add("log", err, "the records are those of the checkpoint, none changed, missing, added or moved")
	for i, k := range kept {
		r.add(fmt.Sprintf("saved %d", i+1), k.result(in.Key), "the log begins with the %d records that were kept", k.checkpoint.Size)
	}
	r.addDrawings()
	if in.Member != "" {
		if err = nil; len(r.Tickets) == 0 {
			err = errors.New("no entry has the tag of this member and opening")
		}
		r.add("member", err, "tickets %d", r.Tickets)
	}
	return r
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
		last := l.tree.size - 1
		if e, err := decodeEntry(record); err == nil && Kind(record[0]) == KindEntry && in.Member != "" && e.Tag == tag {
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
	switch {
	case k.checkpoint.Size == 0:
		return k.err
	case k.head != k.checkpoint:
		return fmt.Errorf("the log does not begin with the %d records of the checkpoint for %s", k.checkpoint.Size, k.checkpoint.Origin)
	case k.receipt.Index < 0:
		return k.err
	}
	_, err := k.receipt.Open(k.record, key)
	return err
}
