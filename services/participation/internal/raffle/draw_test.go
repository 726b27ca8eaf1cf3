package raffle

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/rafflecast/rafflecast/services/draw"
	"github.com/rafflecast/rafflecast/services/draw/logfile"
	"github.com/rafflecast/rafflecast/services/draw/publish"
)

// drawVector is a whole raffle of services/draw's test vectors.
type drawVector struct {
	RaffleKeyHex, SignerSeedHex        string
	ClosingCheckpoint, FinalCheckpoint string
	AliceOpeningHex                    string
	Records                            []string
	Drawn                              [][]int64
	Holders                            [][]int64
}

func readVector(t *testing.T) (v drawVector) {
	t.Helper()
	text, err := os.ReadFile("../../../draw/testdata/vector.json")
	if err == nil {
		err = json.Unmarshal(text, &v)
	}
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func unhex(t *testing.T, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// signer returns a signer by its Ed25519 seed.
func signer(t *testing.T, name string, seed []byte) note.Signer {
	t.Helper()
	key := ed25519.NewKeyFromSeed(seed)
	verifier, err := note.NewEd25519VerifierKey(name, key.Public().(ed25519.PublicKey))
	if err != nil {
		t.Fatal(err)
	}
	hash := strings.Split(verifier, "+")[1]
	s, err := note.NewSigner("PRIVATE+KEY+" + name + "+" + hash + "+" + base64.StdEncoding.EncodeToString(append([]byte{1}, seed...)))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// The first bytes of records that are not JSON.
const kindEntry, kindWithdrawal = 2, 3

// recorder collects the records that a raffle's transactions have appended.
type recorder struct {
	t       *testing.T
	r       *Raffle
	records [][]byte
}

// take takes what the last transaction has appended, as the store does.
func (c *recorder) take() {
	c.t.Helper()
	taken := c.r.Log.TakeRecords()
	if taken.Count > 0 && taken.First != int64(len(c.records)) {
		c.t.Fatalf("records from %d on, and there are %d", taken.First, len(c.records))
	}
	for record, err := range logfile.Records(bytes.NewReader(taken.Data)) {
		if err != nil {
			c.t.Fatal(err)
		}
		c.records = append(c.records, slices.Clone(record))
	}
}

func (c *recorder) each(f func([]byte) error) error {
	for _, record := range c.records {
		if err := f(record); err != nil {
			return err
		}
	}
	return nil
}

func (c *recorder) enter(key *LogKey, now time.Time, members ...string) []Entry {
	c.t.Helper()
	a := NewAdmission(now, []Raffle{*c.r}, 0)
	a.LoadKey(key)
	held := map[string]MemberState{}
	for _, record := range c.records { // what the database would know
		if record[0] != kindEntry {
			continue
		}
		for _, m := range []string{"alice", "bob", "carol", "dave", "erin", "frank", "grace"} {
			if tag := key.Tag(m).Tag; bytes.Equal(record[5:], tag[:]) {
				s := held[m]
				s.EntryCount, s.LastOrdinal = s.EntryCount+1, s.LastOrdinal+1
				held[m] = s
			}
		}
	}
	var reqs []EnterRequest
	for _, m := range members {
		a.LoadMember(c.r.ID, m, held[m])
		reqs = append(reqs, EnterRequest{RaffleID: c.r.ID, MemberID: m})
	}
	d := a.Decide(reqs)
	for _, res := range d.Results {
		if res.Err != nil {
			c.t.Fatal(res.Err)
		}
		if res.Opening != key.Tag(res.Entry.MemberID).Opening {
			c.t.Errorf("%s is given another opening", res.Entry.MemberID)
		}
	}
	*c.r = d.Changed[0]
	c.take()
	return d.Placed
}

// TestRaffle_DrawsTheVector runs a raffle as the service does, and compares each byte of
// its log with what services/draw/testdata has.
func TestRaffle_DrawsTheVector(t *testing.T) {
	t.Parallel()
	v := readVector(t)
	at := func(clock string) time.Time {
		tm, err := time.Parse(time.RFC3339, "2023-08-23T"+clock+"Z")
		if err != nil {
			t.Fatal(err)
		}
		return tm
	}
	closing := at("15:59:22.5")
	chain := draw.Quicknet()
	draws := &Draws{
		Signer: signer(t, "raffles.example.com", unhex(t, v.SignerSeedHex)),
		Chains: map[string]*draw.Chain{chain.Hash: chain}, DefaultChain: chain.Hash,
		Now: func() time.Time { return closing },
	}
	r := &Raffle{
		ID: 1, Epoch: "e", Title: "Signed guitar, no. 11", MaxEntriesPerMember: 3, State: Open, Version: 1,
		Rule: MemberWinsOnce, Holders: NewHolders(nil), ClosesAt: at("15:59:22"), Log: NewLog(DrawOptions{Delay: time.Second}, 1),
	}
	if err := r.SetDetails(Details{Prizes: []Prize{{"Guitar", 1}, {"Strings", 2}}}); err != nil || r.Winners != 3 {
		t.Fatal(r.Winners, err)
	}
	if err := r.StartLog(draws); err != nil {
		t.Fatal(err)
	}
	c := &recorder{t: t, r: r}
	c.take()
	key := &LogKey{RaffleID: 1, Epoch: "e", Origin: r.Log.Origin, Openings: publish.NewOpenings(unhex(t, v.RaffleKeyHex))}
	open := at("15:00:00")
	c.enter(key, open, "alice", "bob", "alice", "carol")
	dave := c.enter(key, open, "dave", "erin", "alice", "bob", "frank")[0]
	if _, err := r.Withdraw(WithdrawRequest{RaffleID: 1, MemberID: "dave"}, []StoredEntry{{Entry: dave}}, open); err != nil {
		t.Fatal(err)
	}
	c.take()
	c.enter(key, open, "grace")
	if got := r.Holders.Counts(); !slices.Equal(got, []int64{4, 1, 1}) || r.EntryCount != 9 || r.MemberCount != 6 {
		t.Errorf("holders %v of %d entries and %d members", got, r.EntryCount, r.MemberCount)
	}
	if opening := key.Tag("alice").Opening; hex.EncodeToString(opening[:]) != v.AliceOpeningHex {
		t.Errorf("opening %x", opening)
	}

	if changed, err := r.ApplySchedule(closing, draws); !changed || err != nil || r.State != Closed || r.Final() || !r.Log.DrawAhead() {
		t.Fatalf("%+v, %v", r, err)
	}
	c.take()
	fixed, ok := r.Log.TakeFixed()
	if r.Log.Checkpoint != v.ClosingCheckpoint || !ok || fixed.Checkpoint != v.ClosingCheckpoint || fixed.Round != 1000 || fixed.Number != 1 ||
		!fixed.DrawsAt.Equal(chain.TimeOf(1000).Time()) {
		t.Errorf("closed with %q, %+v", r.Log.Checkpoint, fixed)
	}
	winners := map[int64]*Winner{}
	drawing := func(number int) {
		t.Helper()
		signature := drawSignature(t, v, number)
		res, err := r.Draw(chain, signature, c.each)
		if err != nil {
			t.Fatal(err)
		}
		for i, w := range res.Winners {
			if w.Ticket != v.Drawn[number-1][i] || w.Position != int32(i+1) || w.Drawing != int32(number) {
				t.Errorf("drawing %d: %+v", number, w)
			}
			winners[w.Ticket] = &res.Winners[i]
		}
		if err := r.Drawn(res, closing); err != nil || r.State != Drawn || !r.Final() || r.Log.DrawAhead() {
			t.Errorf("%+v, %v", r, err)
		}
		c.take()
		if err := r.Drawn(res, closing); !isError[*NoDrawError](err) {
			t.Errorf("drawn twice: %v", err)
		}
	}
	drawing(1)
	if w := winners[4]; w.State != Alternate || w.Place != 1 || winners[2].Prize != 2 || winners[6].Prize != 1 || winners[3].Place != 3 {
		t.Errorf("winners %+v", winners)
	}
	if err := r.Redraw(0, closing, draws); !isError[*NothingVacantError](err) {
		t.Errorf("redraw without a vacant prize: %v", err)
	}
	strike := func(ticket int64, next *Winner, reason Reason) {
		t.Helper()
		if err := r.Strike(winners[ticket], next, reason, closing); err != nil {
			t.Fatal(err)
		}
		c.take()
		if err := r.Strike(winners[ticket], nil, reason, closing); !isError[*NotAWinnerError](err) {
			t.Errorf("struck twice: %v", err)
		}
	}
	strike(6, winners[4], 1)
	if winners[4].State != Wins || winners[4].Prize != 1 || r.Log.Winning[0] != (WinningTicket{4, 1}) {
		t.Errorf("the alternate: %+v, %+v", winners[4], r.Log.Winning)
	}
	strike(4, nil, 2)
	if err := r.Redraw(1, closing, draws); !isError[*ClockSkewError](err) {
		t.Errorf("redrawn from the round before: %v", err)
	}
	closing = at("15:59:25.5")
	if err := r.Redraw(1, closing, draws); err != nil || !r.Log.DrawAhead() || !r.Final() {
		t.Fatalf("%+v, %v", r, err)
	}
	c.take()
	if err := r.Strike(winners[2], nil, 1, closing); !isError[*DrawAheadError](err) {
		t.Errorf("struck while a draw lies ahead: %v", err)
	}
	drawing(2)

	for i, want := range v.Records {
		if got := recordText(c.records[i]); got != want {
			t.Errorf("record %d is\n%s, want\n%s", i, got, want)
		}
	}
	if head, err := r.Log.SignedHead(draws); err != nil || head != v.FinalCheckpoint || len(c.records) != len(v.Records) {
		t.Errorf("%d records, %q, %v", len(c.records), head, err)
	}
	var holding [][]int64
	for prize := range r.About().Prizes {
		var tickets []int64
		for _, w := range r.Log.Winning {
			if int(w.Prize) == prize+1 {
				tickets = append(tickets, w.Ticket)
			}
		}
		holding = append(holding, tickets)
	}
	if fmt.Sprint(holding) != fmt.Sprint(v.Holders) {
		t.Errorf("prizes are held by %v, want %v", holding, v.Holders)
	}
}

// drawSignature returns the signature of a drawing of the vector.
func drawSignature(t *testing.T, v drawVector, number int) []byte {
	t.Helper()
	for _, record := range v.Records {
		var d draw.Draw
		if strings.HasPrefix(record, "05 ") && json.Unmarshal([]byte(record[3:]), &d) == nil && d.Drawing == number {
			return d.Signature
		}
	}
	t.Fatalf("no drawing %d", number)
	return nil
}

// recordText returns a record as the vector writes it.
func recordText(record []byte) string {
	if record[0] == kindEntry || record[0] == kindWithdrawal {
		return hex.EncodeToString(record)
	}
	return fmt.Sprintf("%02x %s", record[0], record[1:])
}

func isError[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}
