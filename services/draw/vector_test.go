package draw

import (
	"bytes"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"
)

// vector is testdata/vector.json: a whole raffle.
type vector struct {
	AliceFirstReceipt, AliceOpeningHex string
	ClosingCheckpoint, FinalCheckpoint string
	Origin, RaffleKeyHex               string
	Seed1, SeedText1                   string
	SignerSeedHex, VerifierKey         string
	Alternates                         []int64
	Drawn, Holders                     [][]int64 // Holders: the tickets that have the places of each prize
	PassedOver, Records, Words1        []string
	Entries                            []struct {
		Member  string
		Ordinal uint32
		Ticket  int64
	}
}

// beacon is testdata/beacon.json: a chain with some of its rounds.
type beacon struct {
	Chain, Scheme, ID      string
	Period, GenesisTime    int64
	PublicKey, GenesisSeed HexBytes
	Rounds                 []struct {
		Round                 uint64
		Signature, Randomness HexBytes
	}
}

// edits is testdata/edits.json: records that are, or are not, what they should be.
type edits struct {
	Logs    []edit // are refused at a place of the vector's log
	Refused []edit // are no records
	Taken   []edit // are records
}

// edit is a record: in hexadecimal, or one of the vector's with all of a text replaced.
type edit struct {
	What     string
	At, Of   int
	Old, New string
	Hex      *string
}

func readEdits(t testing.TB) (e edits) {
	t.Helper()
	readJSON(t, "edits.json", &e)
	return e
}

func (e edit) record(t testing.TB, records [][]byte) []byte {
	t.Helper()
	if e.Hex != nil {
		return fromHex(t, *e.Hex)
	}
	if !bytes.Contains(records[e.Of], []byte(e.Old)) {
		t.Fatalf("%s: record %d has no %s", e.What, e.Of, e.Old)
	}
	if e.Old == "" {
		return records[e.Of]
	}
	return bytes.ReplaceAll(records[e.Of], []byte(e.Old), []byte(e.New))
}

func readJSON(t testing.TB, name string, v any) {
	t.Helper()
	text, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, v); err != nil {
		t.Fatal(err)
	}
}

func readVector(t testing.TB) (v vector, records [][]byte) {
	t.Helper()
	readJSON(t, "vector.json", &v)
	for _, text := range v.Records {
		head, body, isJSON := strings.Cut(text, " ")
		record := fromHex(t, head)
		if isJSON {
			record = append(record, body...)
		}
		records = append(records, record)
	}
	return v, records
}

func fromHex(t testing.TB, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// replayed returns the log of some records, which it must take.
func replayed(t testing.TB, origin string, records [][]byte) *Log {
	t.Helper()
	l := NewLog(origin, Quicknet())
	for _, r := range records {
		if err := l.Append(r); err != nil {
			t.Fatal(err)
		}
	}
	return l
}

// vectorSigner returns the signer of the vector's checkpoints.
func vectorSigner(t testing.TB, v vector) note.Signer {
	t.Helper()
	seed := fromHex(t, v.SignerSeedHex)
	name, _, _ := strings.Cut(v.VerifierKey, "+")
	public := ed25519.NewKeyFromSeed(seed).Public().(ed25519.PublicKey)
	hash := sha256.Sum256(slices.Concat([]byte(name+"\n"), []byte{1}, public))
	key := fmt.Sprintf("PRIVATE+KEY+%s+%08x+%s", name, binary.BigEndian.Uint32(hash[:]),
		base64.StdEncoding.EncodeToString(append([]byte{1}, seed...)))
	signer, err := note.NewSigner(key)
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

func want[T any](t testing.TB, what string, got, want T) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

func TestRecords_EncodeAsTheVector(t *testing.T) {
	t.Parallel()
	_, records := readVector(t)
	for i, b := range records {
		r, err := Decode(b)
		if err != nil {
			t.Fatalf("record %d: %v", i, err)
		}
		again, err := Encode(r)
		if err != nil || string(again) != string(b) {
			t.Errorf("record %d: %q, %v, want %q", i, again, err, b)
		}
	}
}

// openingOf is what publish.Openings does.
func openingOf(raffleKey []byte, memberID string) Opening {
	h := hmac.New(sha256.New, raffleKey)
	h.Write([]byte("rafflecast opening\n" + memberID))
	return Opening(h.Sum(nil))
}

func TestTags_AreTheVectors(t *testing.T) {
	t.Parallel()
	v, records := readVector(t)
	for _, e := range v.Entries {
		opening := openingOf(fromHex(t, v.RaffleKeyHex), e.Member)
		if e.Member == "alice" {
			want(t, "alice's opening", hex.EncodeToString(opening[:]), v.AliceOpeningHex)
		}
		record := AppendEntry(nil, e.Ordinal, TagOf(v.Origin, e.Member, opening))
		want(t, fmt.Sprintf("entry %d", e.Ticket), record, records[e.Ticket])
	}
}

func TestCheckpoints_AreTheVectors(t *testing.T) {
	t.Parallel()
	v, records := readVector(t)
	for text, size := range map[string]int{v.ClosingCheckpoint: 13, v.FinalCheckpoint: 18} {
		head := replayed(t, v.Origin, records[:size]).Head()
		signed, err := head.Sign(vectorSigner(t, v))
		if err != nil {
			t.Fatal(err)
		}
		want(t, "signed checkpoint", string(signed), text)
		opened, err := OpenCheckpoint(signed, v.VerifierKey)
		if err != nil || opened != head {
			t.Errorf("opened: %v, %v, want %v", opened, err, head)
		}
	}
}

func TestReceipts_AreTheVectors(t *testing.T) {
	t.Parallel()
	v, records := readVector(t)
	var leaves []Hash
	for _, r := range records[:13] {
		leaves = append(leaves, LeafHash(r))
	}
	proof := []Hash{leaves[0], reference(leaves[2:4]), reference(leaves[4:8]), reference(leaves[8:])}
	receipt := Receipt{Index: 1, Proof: proof, Checkpoint: []byte(v.ClosingCheckpoint)}
	want(t, "receipt", receipt.String(), v.AliceFirstReceipt)
	for _, extra := range [][]byte{nil, records[1]} {
		receipt.Extra = extra
		parsed, err := ParseReceipt([]byte(receipt.String()))
		if err != nil || !reflect.DeepEqual(parsed, receipt) {
			t.Errorf("parsed: %v, %v, want %v", parsed, err, receipt)
		}
		if c, err := parsed.Open(records[1], v.VerifierKey); err != nil || c.Size != 13 {
			t.Errorf("opened: %v, %v", c, err)
		}
		if _, err := parsed.Open(records[2], v.VerifierKey); err == nil {
			t.Error("the receipt proves another record")
		}
	}
}

func TestDrawings_AreTheVectors(t *testing.T) {
	t.Parallel()
	v, records := readVector(t)
	l := replayed(t, v.Origin, records)
	want(t, "seed text", l.Drawings()[0].Text, v.SeedText1)
	want(t, "seed", l.Drawings()[0].Seed, v.Seed1)
	for j, word := range v.Words1 {
		want(t, "word", fmt.Sprintf("%016x", words(v.Seed1).word(uint64(j))), word)
	}
	want(t, "holders", l.Winners(), v.Holders)
	if len(l.Alternates()) != len(v.Alternates) {
		t.Errorf("alternates: got %v, want %v", l.Alternates(), v.Alternates)
	}
	var passedOver []string
	for i, d := range l.Drawings() {
		want(t, "drawn", d.Tickets, v.Drawn[i])
		passedOver = append(passedOver, passedOverIn(l, d)...)
	}
	want(t, "passed over", passedOver, v.PassedOver)
}

// passedOverIn returns which numbers of a drawing were passed over, and why. A reason that
// holds during a drawing still holds after it.
func passedOverIn(l *Log, d Drawing) (reasons []string) {
	left := d.Tickets
	for j := uint64(0); len(left) > 0; j++ {
		number, ok := words(d.Seed).number(j, uint64(l.size))
		switch ticket := int64(number); {
		case !ok:
		case ticket == left[0]:
			left = left[1:]
		default:
			reasons = append(reasons, fmt.Sprintf("drawing %d number %d: ticket %d (%s)", d.Number, j, ticket, l.passOver(ticket)))
		}
	}
	return reasons
}

func TestChain_IsTheVectors(t *testing.T) {
	t.Parallel()
	var b beacon
	readJSON(t, "beacon.json", &b)
	chain := Quicknet()
	want(t, "chain", []any{chain.Hash, chain.Scheme, chain.Metadata.ID, chain.Period, chain.GenesisTime, chain.PublicKey, chain.GenesisSeed},
		[]any{b.Chain, b.Scheme, b.ID, b.Period, b.GenesisTime, b.PublicKey, b.GenesisSeed})
	for i, r := range b.Rounds {
		if err := chain.Verify(r.Round, r.Signature); err != nil {
			t.Error(err)
		}
		want(t, "randomness", Randomness(r.Signature), hex.EncodeToString(r.Randomness))
		if err := chain.Verify(r.Round+1, r.Signature); err == nil {
			t.Error("the signature is taken for the next round")
		}
		if err := chain.Verify(r.Round, b.Rounds[(i+1)%len(b.Rounds)].Signature); err == nil {
			t.Error("another round's signature is taken")
		}
	}
}
