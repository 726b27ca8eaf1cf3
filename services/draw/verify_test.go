package draw

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"iter"
	"slices"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"

	"github.com/rafflecast/rafflecast/services/draw/logfile"
)

// asLog is a log's file in memory.
func asLog(records [][]byte) iter.Seq2[[]byte, error] {
	var file []byte
	for _, r := range records {
		file = logfile.Append(file, r)
	}
	return logfile.Records(bytes.NewReader(file))
}

// vectorInput is a verification of the vector that is all true.
func vectorInput(t testing.TB) (Input, vector, [][]byte) {
	t.Helper()
	v, records := readVector(t)
	return Input{
		Records: asLog(records), Checkpoint: []byte(v.FinalCheckpoint), Key: v.VerifierKey, Chains: []*Chain{Quicknet()},
		Saved: [][]byte{[]byte(v.ClosingCheckpoint), []byte(v.AliceFirstReceipt)},
	}, v, records
}

// wantOutcome fails unless the report has an outcome, and a check with this outcome whose
// text begins with name.
func wantOutcome(t testing.TB, what string, r *Report, outcome Outcome, name string) {
	t.Helper()
	found := slices.ContainsFunc(r.Checks, func(c Check) bool { return c.Outcome == outcome && strings.HasPrefix(c.Text, name) })
	if r.Outcome != outcome || !found {
		t.Errorf("%s: got %v, want %v of %q, from %v", what, r.Outcome, outcome, name, r.Checks)
	}
}

func TestVerify_FindsTheVectorTrue(t *testing.T) {
	t.Parallel()
	in, _, _ := vectorInput(t)
	r := Verify(in)
	wantOutcome(t, "vector", r, True, "drawing 2")
	want(t, "checks", len(r.Checks), 8)
	for _, caution := range []string{"ticket 6 was disqualified: UNCLAIMED", "only 1 s"} {
		if !strings.Contains(strings.Join(r.Cautions, "\n"), caution) {
			t.Errorf("no caution that %s in %q", caution, r.Cautions)
		}
	}
}

func TestVerify_CantTellWithoutKeyOrChain(t *testing.T) {
	t.Parallel()
	in, _, _ := vectorInput(t)
	in.Key = ""
	wantOutcome(t, "no key", Verify(in), Unknown, "checkpoint")
	in, _, _ = vectorInput(t)
	in.Chains = nil
	wantOutcome(t, "no chain", Verify(in), Unknown, "drawing 1")
}

const otherKey = "raffles.example.com+6f0701a5+AQABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"

func TestVerify_RefusesAnotherKey(t *testing.T) {
	t.Parallel()
	in, _, _ := vectorInput(t)
	in.Key = otherKey
	wantOutcome(t, "another key", Verify(in), False, "checkpoint")
}

// A signer that has changed its key publishes the earlier ones as well.
func TestVerify_TakesAnyOfSeveralKeys(t *testing.T) {
	t.Parallel()
	secret, another, err := note.GenerateKey(rand.Reader, "raffles.example.com")
	if err != nil {
		t.Fatal(err)
	}
	signer, err := note.NewSigner(secret)
	if err != nil {
		t.Fatal(err)
	}
	in, v, records := vectorInput(t)
	in.Checkpoint, err = replayed(t, v.Origin, records).Head().Sign(signer)
	if err != nil {
		t.Fatal(err)
	}
	in.Key = another + "\n" + v.VerifierKey
	wantOutcome(t, "both keys", Verify(in), True, "saved 1")
	in, _, _ = vectorInput(t)
	in.Key = another + "\n" + v.VerifierKey
	wantOutcome(t, "the older key", Verify(in), True, "checkpoint")
	in, _, _ = vectorInput(t)
	in.Key = another
	wantOutcome(t, "the newer key", Verify(in), False, "checkpoint")
}

func TestVerify_RefusesTamperedRecords(t *testing.T) {
	t.Parallel()
	_, _, records := vectorInput(t)
	tampered := map[string][][]byte{}
	for i, r := range records {
		for _, at := range []int{0, 1, len(r) / 2, len(r) - 1} {
			changed := slices.Clone(records)
			changed[i] = bytes.Clone(r)
			changed[i][at] ^= 1
			tampered[fmt.Sprintf("record %d flipped at %d", i, at)] = changed
		}
		tampered[fmt.Sprintf("record %d dropped", i)] = slices.Delete(slices.Clone(records), i, i+1)
		tampered[fmt.Sprintf("record %d doubled", i)] = slices.Insert(slices.Clone(records), i, r)
		if i > 0 {
			moved := slices.Clone(records)
			moved[i-1], moved[i] = moved[i], moved[i-1]
			tampered[fmt.Sprintf("record %d moved", i)] = moved
		}
	}
	for what, changed := range tampered {
		in, v, _ := vectorInput(t)
		in.Records = asLog(changed)
		wantOutcome(t, what, Verify(in), False, "log")

		// An operator who signs the changed log is contradicted by what viewers kept.
		if !slices.EqualFunc(changed[:13], records[:13], bytes.Equal) {
			var tree Tree
			for _, r := range changed {
				tree.Append(LeafHash(r))
			}
			signed, err := Checkpoint{v.Origin, tree.Size, tree.Root()}.Sign(vectorSigner(t, v))
			if err != nil {
				t.Fatal(err)
			}
			in.Records, in.Checkpoint = asLog(changed), signed
			wantOutcome(t, what+", signed again", Verify(in), False, "saved 1")
		}
	}
}

func TestVerify_ComparesEachReceipt(t *testing.T) {
	t.Parallel()
	for what, change := range map[string]func(*Receipt){
		"another index":      func(r *Receipt) { r.Index = 2 },
		"index out of range": func(r *Receipt) { r.Index = 13 },
		"beyond the log":     func(r *Receipt) { r.Index = 1 << 40 },
		"another hash":       func(r *Receipt) { r.Proof[0][0] ^= 1 },
		"a hash too few":     func(r *Receipt) { r.Proof = r.Proof[1:] },
		"another record":     func(r *Receipt) { r.Extra = []byte{8} },
		"another checkpoint": func(r *Receipt) { r.Checkpoint = bytes.Replace(r.Checkpoint, []byte("\n13\n"), []byte("\n12\n"), 1) },
	} {
		in, v, _ := vectorInput(t)
		r, err := ParseReceipt([]byte(v.AliceFirstReceipt))
		if err != nil {
			t.Fatal(err)
		}
		change(&r)
		in.Saved = [][]byte{[]byte(r.String())}
		wantOutcome(t, what, Verify(in), False, "saved 1")
	}
	in, _, _ := vectorInput(t)
	in.Saved = [][]byte{[]byte("c2sp.org/tlog-proof@v1\nindex 01\n\n")}
	wantOutcome(t, "malformed", Verify(in), False, "saved 1")
}

func TestVerify_FindsTheMembersTickets(t *testing.T) {
	t.Parallel()
	in, v, _ := vectorInput(t)
	in.Member, in.Opening = "alice", Opening(fromHex(t, v.AliceOpeningHex))
	r := Verify(in)
	wantOutcome(t, "alice", r, True, "member")
	want(t, "tickets", r.Tickets, []int64{1, 3, 7})
	in, _, _ = vectorInput(t)
	in.Member, in.Opening = "bob", Opening(fromHex(t, v.AliceOpeningHex))
	wantOutcome(t, "bob with alice's opening", Verify(in), False, "member")
}

func TestVerify_SaysWhatIsCutOff(t *testing.T) {
	t.Parallel()
	in, v, records := vectorInput(t)
	in.Checkpoint, in.Saved = []byte(v.ClosingCheckpoint), nil
	var file []byte
	for _, r := range records[:13] {
		file = logfile.Append(file, r)
	}
	for cut := range file {
		in.Records = logfile.Records(bytes.NewReader(file[:cut]))
		if got := Verify(in).Outcome; got != False {
			t.Fatalf("the first %d bytes: %v", cut, got)
		}
	}
	for what, file := range map[string][]byte{
		"too long":     {0, 1, 0, 1, 8},
		"empty record": {0, 0, 0, 0},
	} {
		in.Records = logfile.Records(bytes.NewReader(file))
		wantOutcome(t, what, Verify(in), False, "records")
	}
}

func TestVerify_TakesACheckpointOfItsOwnRaffleOnly(t *testing.T) {
	t.Parallel()
	in, v, records := vectorInput(t)
	records = records[:13] // a drawing would differ in any case
	head := replayed(t, v.Origin, records).Head()
	for _, origin := range []string{"raffles.example.com/raffle/2", "raffles.example.com/raffle/11", "raffles.example.com/raffle/"} {
		head.Origin = origin
		signed, err := head.Sign(vectorSigner(t, v))
		if err != nil {
			t.Fatal(err)
		}
		in.Records, in.Checkpoint = asLog(records), signed
		wantOutcome(t, origin, Verify(in), False, "records")
	}
	head.Origin = "other.example.com/raffle/1"
	signed, err := head.Sign(vectorSigner(t, v))
	if err != nil {
		t.Fatal(err)
	}
	in.Records, in.Checkpoint = asLog(records), signed
	wantOutcome(t, "of another host", Verify(in), False, "checkpoint")
}
