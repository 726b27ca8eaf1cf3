package postgres_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/rafflecast/rafflecast/services/draw"
	"github.com/rafflecast/rafflecast/services/draw/drand"
	"github.com/rafflecast/rafflecast/services/draw/logfile"
	"github.com/rafflecast/rafflecast/services/draw/publish"
	"github.com/rafflecast/rafflecast/services/participation/internal/drawer"
	"github.com/rafflecast/rafflecast/services/participation/internal/raffle"
	"github.com/rafflecast/rafflecast/services/test/testenv"
)

// drawBundle is a store that draws, on a development chain with a round each second.
type drawBundle struct {
	*testBundle
	chain  *drand.Development
	draws  *raffle.Draws
	drawer drawer.Config
	key    string // verifies
}

// newDraws returns what draws need, with a new key.
func newDraws(t *testing.T) (*drand.Development, *raffle.Draws, drawer.Config) {
	t.Helper()
	signing, key, err := note.GenerateKey(rand.Reader, "raffles.test")
	if err != nil {
		t.Fatal(err)
	}
	signer, err := note.NewSigner(signing)
	if err != nil {
		t.Fatal(err)
	}
	verifier, err := note.NewVerifier(key)
	if err != nil {
		t.Fatal(err)
	}
	chain, err := drand.NewDevelopment(make([]byte, 32), time.Now().Add(-time.Hour).Truncate(time.Second), time.Second, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	hash := chain.Chain().Hash
	draws := &raffle.Draws{Signer: signer, Chains: map[string]*draw.Chain{hash: chain.Chain()}, DefaultChain: hash, Now: time.Now}
	return chain, draws, drawer.Config{
		Draws: draws, Beacons: map[string]drawer.Beacon{hash: localBeacon{chain}}, Verifier: note.VerifierList(verifier),
		VerifierKeys: []string{key}, Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
	}
}

// localBeacon is a beacon without a network.
type localBeacon struct{ chain *drand.Development }

// Signature implements drawer.Beacon.
func (b localBeacon) Signature(_ context.Context, round uint64) ([]byte, error) {
	if time.Now().Before(b.chain.Chain().TimeOf(round).Time()) {
		return nil, drand.ErrNotOut
	}
	return b.chain.Signature(round), nil
}

func setupDraws(t *testing.T) *drawBundle {
	t.Helper()
	b := &drawBundle{testBundle: setup(t)}
	b.chain, b.draws, b.drawer = newDraws(t)
	b.key = b.drawer.VerifierKeys[0]
	b.UseDraws(b.draws)
	return b
}

// createDrawn creates a raffle that is drawn a second after it is closed.
func (b *drawBundle) createDrawn(t *testing.T, r raffle.Raffle) raffle.Raffle {
	t.Helper()
	r.Title, r.MaxEntriesPerMember = "Guitar", max(1, r.MaxEntriesPerMember)
	if r.Winners == 0 {
		r.Winners = 1
	}
	r.Log = raffle.NewLog(raffle.DrawOptions{Delay: time.Second}, 1)
	made, err := b.Create(t.Context(), r, raffle.RequestID{})
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// enterMembers places entries of members, numbered from 0.
func (b *drawBundle) enterMembers(t *testing.T, id int64, n int) (results []raffle.EnterResult) {
	t.Helper()
	reqs := make([]raffle.EnterRequest, n)
	for i := range reqs {
		reqs[i] = raffle.EnterRequest{RaffleID: id, MemberID: fmt.Sprintf("member-%d", i)}
		reqs[i].Tag = b.Tag(id, reqs[i].MemberID)
	}
	results, err := b.EnterBatch(t.Context(), reqs)
	if err != nil {
		t.Fatal(err)
	}
	for i := range results {
		if results[i].Err != nil {
			t.Fatal(results[i].Err)
		}
	}
	return results
}

// records reads a whole log.
func (b *drawBundle) records(t *testing.T, id int64) (records [][]byte) {
	t.Helper()
	if err := b.ReadLog(t.Context(), id, 0, func(index int64, record []byte) error {
		if index != int64(len(records)) {
			t.Errorf("record %d in place of %d", index, len(records))
		}
		records = append(records, slices.Clone(record))
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return records
}

// verifyLog checks a raffle's log as a stranger does, and that it agrees with its row.
func (b *drawBundle) verifyLog(t *testing.T, id int64) *draw.Log {
	t.Helper()
	r := b.verify(t, id)
	log := draw.NewLog(r.Log.Origin, b.chain.Chain())
	for _, record := range b.records(t, id) {
		if err := log.Append(record); err != nil {
			t.Fatal(err)
		}
	}
	entries, members := log.Counts()
	if log.Head() != r.Log.Head() || entries != r.EntryCount || members != r.MemberCount {
		t.Errorf("the log has %d entries of %d members and is %q; the raffle is %+v, %q", entries, members, log.Head(), r, r.Log.Head())
	}
	return log
}

// awaitDraw closes a raffle, and draws it as soon as it is due.
func (b *drawBundle) awaitDraw(t *testing.T, id int64) raffle.Raffle {
	t.Helper()
	if _, err := b.Close(t.Context(), id, raffle.RequestID{}); err != nil {
		t.Fatal(err)
	}
	return b.drawDue(t, id)
}

func (b *drawBundle) drawDue(t *testing.T, id int64) (r raffle.Raffle) {
	t.Helper()
	d := drawer.New(b.Store, b.drawer)
	testenv.Eventually(t, "the raffle is drawn", 10*time.Second, func() bool {
		var err error
		r, err = d.Draw(t.Context(), id, nil)
		if err != nil && !errors.As(err, new(*raffle.DrawNotDueError)) {
			t.Fatal(err)
		}
		return err == nil
	})
	return r
}

// holding returns the tickets by prize.
func holding(r raffle.Raffle) [][]int64 {
	tickets := make([][]int64, len(r.About().Prizes))
	for _, w := range r.Log.Winning {
		tickets[w.Prize-1] = append(tickets[w.Prize-1], w.Ticket)
	}
	return tickets
}

// tag returns the tag of a member by the key that is stored.
func (b *drawBundle) tag(t *testing.T, r *raffle.Raffle, member string) draw.Tag {
	t.Helper()
	var secret []byte
	if err := b.pool.QueryRow(t.Context(), `SELECT key FROM raffle_keys WHERE raffle_id = $1`, r.ID).Scan(&secret); err != nil {
		t.Fatal(err)
	}
	return draw.TagOf(r.Log.Origin, member, publish.NewOpenings(secret).Of(member))
}

func (b *drawBundle) strikeAndRedraw(t *testing.T, id int64, winners []raffle.Winner) {
	t.Helper()
	ctx := t.Context()
	request := raffle.RequestID{9}
	for range 2 { // the second is the same request again
		struck, successor, r, err := b.Strike(ctx, id, winners[1].Ticket, 1, request)
		if err != nil || struck.State != raffle.Struck || successor == nil || successor.Ticket != winners[3].Ticket || r.Log.Winning[1].Ticket != winners[3].Ticket {
			t.Fatalf("%+v, %+v, %+v, %v", struck, successor, r.Log, err)
		}
	}
	if _, successor, _, err := b.Strike(ctx, id, winners[0].Ticket, 2, raffle.RequestID{}); err != nil || successor != nil {
		t.Fatal(successor, err)
	}
	if _, _, _, err := b.Strike(ctx, id, 1000, 2, raffle.RequestID{}); !errors.As(err, new(*raffle.TicketNotFoundError)) {
		t.Errorf("a ticket that there is not: %v", err)
	}
	if r, err := b.Redraw(ctx, id, raffle.RequestID{}); err != nil || !r.Log.DrawAhead() || r.Log.Drawing != 2 {
		t.Fatalf("%+v, %v", r.Log, err)
	}
	if r := b.drawDue(t, id); len(r.Log.Winning) != 3 {
		t.Errorf("after the redraw %+v", r.Log.Winning)
	}
	drawings, err := b.Drawings(ctx, id)
	if err != nil || len(drawings) != 2 || drawings[0].Signature == "" || drawings[1].Seed == "" {
		t.Errorf("%+v, %v", drawings, err)
	}
}

// verifyAsAStranger checks a log with nothing but what is served.
func (b *drawBundle) verifyAsAStranger(t *testing.T, id int64) {
	t.Helper()
	d := drawer.New(b.Store, b.drawer)
	checkpoint, err := d.Checkpoint(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	ticket, err := d.Ticket(t.Context(), id, 3)
	if err != nil {
		t.Fatal(err)
	}
	page, err := d.LogPage(t.Context(), id, 0)
	if err != nil {
		t.Fatal(err)
	}
	report := draw.Verify(draw.Input{
		Records: logfile.Records(bytes.NewReader(page)), Checkpoint: []byte(checkpoint), Key: b.key,
		Chains: []*draw.Chain{b.chain.Chain()}, Saved: [][]byte{[]byte(ticket.Proof)},
	})
	if report.Outcome != draw.True {
		t.Errorf("%+v", report.Checks)
	}
}

func (b *drawBundle) purge(t *testing.T, id int64) {
	t.Helper()
	if _, err := b.Purge(t.Context(), id, raffle.RequestID{}); err != nil {
		t.Fatal(err)
	}
	var rows int
	if err := b.pool.QueryRow(t.Context(), `SELECT (SELECT count(*) FROM entries WHERE raffle_id = $1) + (SELECT count(*) FROM raffle_keys WHERE raffle_id = $1)
		+ (SELECT count(member_id) FROM winners WHERE raffle_id = $1)`, id).Scan(&rows); err != nil || rows != 0 {
		t.Errorf("%d rows are left, %v", rows, err)
	}
}
