package draw

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// Origin returns the name of a raffle's log. life is 1, and 1 more after each restore of
// the database that lost records of it.
func Origin(logName string, raffle, life int64) string {
	origin := fmt.Sprintf("%s/raffle/%d", logName, raffle)
	if life > 1 {
		origin += fmt.Sprintf("/%d", life)
	}
	return origin
}

// Checkpoint says what the first Size records of a log are (https://c2sp.org/tlog-checkpoint).
type Checkpoint struct {
	Origin string
	Size   int64
	Root   Hash
}

// String returns the three lines of the checkpoint, which are signed and drawn with.
func (c Checkpoint) String() string { return fmt.Sprintf("%s\n%d\n%s\n", c.Origin, c.Size, c.Root) }

// ParseCheckpoint parses the three lines of a checkpoint. There must be no other.
func ParseCheckpoint(text string) (c Checkpoint, err error) {
	lines := strings.SplitN(text, "\n", 4)
	if len(lines) == 4 {
		c.Origin = lines[0]
		c.Size, _ = strconv.ParseInt(lines[1], 10, 64)
		c.Root, _ = tlog.ParseHash(lines[2])
	}
	if c.Origin == "" || c.Size < 1 || c.Size > MaxSize || c.String() != text {
		return Checkpoint{}, fmt.Errorf("a checkpoint has three lines, not %q", text)
	}
	return c, nil
}

// Sign returns the signed checkpoint, a note (https://c2sp.org/signed-note).
func (c Checkpoint) Sign(signer note.Signer) ([]byte, error) {
	return note.Sign(&note.Note{Text: c.String()}, signer)
}

// ErrNoKey is returned with a checkpoint whose signature was not checked for want of a key.
var ErrNoKey = errors.New("no key was given to check the signature with")

// OpenCheckpoint returns a signed checkpoint. keys are the verifier keys of its signer, in
// the form of package note, name+hash+key, one on a line; any of them is enough. The name
// must be that with which the origin begins.
func OpenCheckpoint(signed []byte, keys string) (Checkpoint, error) {
	var known []note.Verifier
	for key := range strings.FieldsSeq(keys) {
		verifier, err := note.NewVerifier(key)
		if err != nil {
			return Checkpoint{}, fmt.Errorf("verifier key %q: %w", key, err)
		}
		known = append(known, verifier)
	}
	n, err := note.Open(signed, note.VerifierList(known...))
	if unverified, ok := errors.AsType[*note.UnverifiedNoteError](err); ok && len(known) == 0 {
		n, err = unverified.Note, ErrNoKey
	}
	if n == nil {
		return Checkpoint{}, fmt.Errorf("checkpoint: %w", err)
	}
	c, parseErr := ParseCheckpoint(n.Text)
	if parseErr != nil {
		return Checkpoint{}, parseErr
	}
	for _, signature := range n.Sigs {
		if !strings.HasPrefix(c.Origin, signature.Name+"/raffle/") {
			return Checkpoint{}, fmt.Errorf("the key of %s can't sign for %s", signature.Name, c.Origin)
		}
	}
	return c, err
}

// Receipt proves that a record is in a log (https://c2sp.org/tlog-proof).
type Receipt struct {
	Extra      []byte // the record; may be missing
	Index      int64  // of the record
	Proof      []Hash // by Prove
	Checkpoint []byte // signed
}

const receiptHeader = "c2sp.org/tlog-proof@v1\n"

// String returns the receipt's text.
func (r Receipt) String() string {
	var b strings.Builder
	b.WriteString(receiptHeader)
	if r.Extra != nil {
		fmt.Fprintf(&b, "extra %s\n", base64.StdEncoding.EncodeToString(r.Extra))
	}
	fmt.Fprintf(&b, "index %d\n", r.Index)
	for _, h := range r.Proof {
		fmt.Fprintf(&b, "%s\n", h)
	}
	return b.String() + "\n" + string(r.Checkpoint)
}

// IsReceipt reports whether text begins as a receipt does.
func IsReceipt(text []byte) bool { return bytes.HasPrefix(text, []byte(receiptHeader)) }

// ParseReceipt parses a receipt. It checks its form only.
func ParseReceipt(text []byte) (r Receipt, err error) {
	head, checkpoint, _ := strings.Cut(string(text), "\n\n")
	lines := strings.Split(head, "\n")[1:]
	if len(lines) > 0 && strings.HasPrefix(lines[0], "extra ") {
		r.Extra, err = base64.StdEncoding.DecodeString(lines[0][len("extra "):])
		lines = lines[1:]
	}
	if len(lines) > 0 {
		r.Index, _ = strconv.ParseInt(strings.TrimPrefix(lines[0], "index "), 10, 64)
		for _, line := range lines[1:] {
			h, hashErr := tlog.ParseHash(line)
			err = errors.Join(err, hashErr)
			r.Proof = append(r.Proof, h)
		}
	}
	r.Checkpoint = []byte(checkpoint)
	if err != nil || r.Index < 0 || r.String() != string(text) {
		return Receipt{}, errors.New("this is no receipt of the form c2sp.org/tlog-proof@v1")
	}
	return r, nil
}

// Open returns the checkpoint of a receipt that proves the record to be in the log, or
// else an error. As with OpenCheckpoint, the error is ErrNoKey if only the key is missing.
func (r Receipt) Open(record []byte, keys string) (Checkpoint, error) {
	c, err := OpenCheckpoint(r.Checkpoint, keys)
	if err != nil && !errors.Is(err, ErrNoKey) {
		return c, err
	}
	if r.Extra != nil && !bytes.Equal(r.Extra, record) ||
		tlog.CheckRecord(r.Proof, c.Size, c.Root, r.Index, LeafHash(record)) != nil {
		return c, fmt.Errorf("the receipt does not prove that this is record %d", r.Index)
	}
	return c, err
}
