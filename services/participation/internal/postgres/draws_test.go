package postgres_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"sync"
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

func TestDraws_AWholeRaffleIsVerifiable(t *testing.T) {
	t.Parallel()
	b := setupDraws(t)
	ctx := t.Context()
	details := &raffle.Details{Description: "d", PictureURL: "https://e.test/p", Prizes: []raffle.Prize{{Name: "Guitar", Count: 1}, {Name: "Strings", Count: 2}}}
	made := b.createDrawn(t, raffle.Raffle{MaxEntriesPerMember: 3, Winners: 3, Rule: raffle.MemberWinsOnce, Details: details})
	for range 2 {
		b.enterMembers(t, made.ID, 6)
	}
	first := b.enter(t, raffle.EnterRequest{RaffleID: made.ID, MemberID: "m", RequestID: raffle.RequestID{7}})
	again := b.enter(t, raffle.EnterRequest{RaffleID: made.ID, MemberID: "m", RequestID: raffle.RequestID{7}})
	if first.Entry.Ticket != 13 || !again.Replayed || again.Entry.Ticket != first.Entry.Ticket || again.Opening != first.Opening || first.Opening == (draw.Opening{}) {
		t.Errorf("%+v, again %+v", first, again)
	}
	if _, err := b.Withdraw(raffle.WithActor(ctx, "shop"), raffle.WithdrawRequest{RaffleID: made.ID, MemberID: "m"}); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Update(ctx, made.ID, raffle.Change{Title: new("Better guitar")}, raffle.RequestID{}); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Purge(ctx, made.ID, raffle.RequestID{}); !errors.As(err, new(*raffle.StillOpenError)) {
		t.Errorf("a purge of an open raffle: %v", err)
	}
	r := b.awaitDraw(t, made.ID)
	log := b.verifyLog(t, made.ID)
	if r.State != raffle.Drawn || r.Log.DrawAhead() || !slices.Equal(r.Holders.Counts(), []int64{0, 6}) || r.Title != "Better guitar" {
		t.Errorf("%+v, holders %v", r, r.Holders)
	}
	if got := fmt.Sprint(holding(r)); got != fmt.Sprint(log.Winners()) {
		t.Errorf("the raffle says %v hold its prizes, its log %v", got, log.Winners())
	}
	for ticket, want := range map[int64]raffle.TicketState{0: raffle.NoEntry, 13: raffle.Withdrawn, r.Log.Winning[0].Ticket: raffle.TicketWins} {
		if got, err := drawer.New(b.Store, b.drawer).Ticket(ctx, made.ID, ticket); err != nil || got.State != want {
			t.Errorf("ticket %d: %d, %v; want %d", ticket, got.State, err, want)
		}
	}
	winners, err := b.ListWinners(ctx, made.ID, raffle.WinnerKey{}, 10)
	if err != nil || len(winners) != 4 || winners[3].State != raffle.Alternate {
		t.Fatalf("%+v, %v", winners, err)
	}
	for _, w := range winners {
		tag := b.tag(t, &r, w.MemberID)
		if record := b.records(t, made.ID)[w.Ticket]; string(record[5:]) != string(tag[:]) {
			t.Errorf("ticket %d is not that of %s", w.Ticket, w.MemberID)
		}
	}
	b.strikeAndRedraw(t, made.ID, winners)
	b.verifyAsAStranger(t, made.ID)
	b.purge(t, made.ID)
	b.verifyAsAStranger(t, made.ID)

	var calls []string
	events, err := b.ListAuditEvents(ctx, made.ID, math.MaxInt64, 100)
	for _, e := range slices.Backward(events) {
		calls = append(calls, e.Call+e.MemberID) // of which the purge leaves none
	}
	want := []string{"CreateRaffle", "Withdraw", "UpdateRaffle", "CloseRaffle", "DrawRaffle", "StrikeWinner", "StrikeWinner", "RedrawRaffle", "DrawRaffle", "PurgeRaffle"}
	if err != nil || !slices.Equal(calls, want) {
		t.Errorf("audited: %q, %v", calls, err)
	}
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

func TestDraws_SeveralDrawersMakeOneDraw(t *testing.T) {
	t.Parallel()
	b := setupDraws(t)
	made := b.createDrawn(t, raffle.Raffle{Winners: 5})
	b.enterMembers(t, made.ID, 20)
	if _, err := b.Close(t.Context(), made.ID, raffle.RequestID{}); err != nil {
		t.Fatal(err)
	}
	var drawing sync.WaitGroup
	for range 4 {
		drawing.Go(func() { b.drawDue(t, made.ID) })
	}
	drawing.Wait()
	if log := b.verifyLog(t, made.ID); len(log.Drawings()) != 1 {
		t.Errorf("%d drawings", len(log.Drawings()))
	}
}

func TestDraws_AnEditedLogIsNeverDrawn(t *testing.T) {
	t.Parallel()
	for name, edit := range map[string]string{
		"a record":       `UPDATE raffle_log SET records = overlay(records PLACING '\x07'::bytea FROM 12) WHERE first = 1`,
		"a dropped row":  `DELETE FROM raffle_log WHERE first = 1`,
		"the tree":       `UPDATE raffles SET log_tree = overlay(log_tree PLACING '\x07'::bytea FROM 12)`,
		"the round":      `UPDATE raffles SET draw_round = draw_round - 1`,
		"the checkpoint": `UPDATE drawings SET checkpoint = replace(checkpoint, 'raffles.test', 'other.test')`,
		"its signature":  `UPDATE drawings SET checkpoint = overlay(checkpoint PLACING 'AAAA' FROM length(checkpoint) - 10)`,
		"no checkpoint":  `DELETE FROM drawings`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setupDraws(t)
			made := b.createDrawn(t, raffle.Raffle{})
			b.enterMembers(t, made.ID, 20)
			if _, err := b.Close(t.Context(), made.ID, raffle.RequestID{}); err != nil {
				t.Fatal(err)
			}
			if _, err := b.pool.Exec(t.Context(), edit); err != nil {
				t.Fatal(err)
			}
			d := drawer.New(b.Store, b.drawer)
			testenv.Eventually(t, "the draw is due", 10*time.Second, func() bool {
				_, err := d.Draw(t.Context(), made.ID, nil)
				due := !errors.As(err, new(*raffle.DrawNotDueError))
				if due && !errors.As(err, new(*raffle.LogMismatchError)) {
					t.Errorf("got %v", err)
				}
				return due
			})
			if r, err := b.Get(t.Context(), made.ID); err != nil || r.State != raffle.Closed {
				t.Errorf("%+v, %v", r, err)
			}
		})
	}
}

func TestDraws_ClocksThatDisagreeKeepARaffleFromClosing(t *testing.T) {
	t.Parallel()
	b := setupDraws(t)
	ctx := t.Context()
	// By then a busy machine has made it.
	made := b.createDrawn(t, raffle.Raffle{ClosesAt: time.Now().Add(2 * time.Second)})
	offset := time.Second / 3 // the delay is a second
	b.draws.Now = func() time.Time { return time.Now().Add(offset) }
	if _, err := b.Close(ctx, made.ID, raffle.RequestID{}); !errors.As(err, new(*raffle.ClockSkewError)) {
		t.Errorf("close: %v", err)
	}
	testenv.Eventually(t, "the closing is due and refused", 20*time.Second, func() bool {
		_, refused, err := b.ApplySchedule(ctx)
		return err == nil && len(refused) == 1 && refused[0].RaffleID == made.ID && errors.As(refused[0], new(*raffle.ClockSkewError))
	})
	if res := b.enter(t, raffle.EnterRequest{RaffleID: made.ID, MemberID: "m"}); !errors.As(res.Err, new(*raffle.NotOpenError)) {
		t.Errorf("enter: %+v", res)
	}
	if r := b.verify(t, made.ID); r.State != raffle.Open {
		t.Errorf("%+v", r)
	}
	b.verifyLog(t, made.ID)
	offset = -time.Second / 5
	if n, refused, err := b.ApplySchedule(ctx); n != 1 || refused != nil || err != nil {
		t.Errorf("%d raffles closed, %v, %v", n, refused, err)
	}
	b.verifyLog(t, made.ID)
}

func TestDraws_AnEntryThatComesTooLateLeavesTheCloseToTheScheduler(t *testing.T) {
	t.Parallel()
	b := setupDraws(t)
	made := b.createDrawn(t, raffle.Raffle{ClosesAt: time.Now().Add(2 * time.Second)})
	b.enterMembers(t, made.ID, 3)
	testenv.Eventually(t, "an entry is refused", 20*time.Second, func() bool {
		return b.enter(t, raffle.EnterRequest{RaffleID: made.ID, MemberID: "late-" + rand.Text()}).Err != nil
	})
	if r := b.verify(t, made.ID); r.State != raffle.Open {
		t.Errorf("%+v", r)
	}
	if n, refused, err := b.ApplySchedule(t.Context()); n != 1 || refused != nil || err != nil {
		t.Errorf("%d raffles closed, %v, %v", n, refused, err)
	}
	b.verifyLog(t, made.ID)
	if r := b.drawDue(t, made.ID); r.State != raffle.Drawn || r.Log.Checkpoint == "" {
		t.Errorf("%+v", r)
	}
	b.verifyLog(t, made.ID)
}

func TestDraws_AreOffWithoutAKey(t *testing.T) {
	t.Parallel()
	b := setup(t)
	r := raffle.Raffle{Title: "A", Winners: 1, MaxEntriesPerMember: 1, Log: raffle.NewLog(raffle.DrawOptions{Delay: time.Minute}, 0)}
	if _, err := b.Create(t.Context(), r, raffle.RequestID{}); !errors.Is(err, raffle.ErrDrawsOff) {
		t.Errorf("got %v", err)
	}
}

// A draw that was cut off anywhere before its commit has left nothing, and is made again
// with the same outcome.
func TestDraws_ADrawThatIsCutOffIsMadeAgain(t *testing.T) {
	t.Parallel()
	b := setupDraws(t)
	ctx := t.Context()
	made := b.createDrawn(t, raffle.Raffle{})
	b.enterMembers(t, made.ID, 10)
	if _, err := b.Close(ctx, made.ID, raffle.RequestID{}); err != nil {
		t.Fatal(err)
	}
	before := b.records(t, made.ID)
	if _, err := b.pool.Exec(ctx, `ALTER TABLE winners ADD CONSTRAINT fails CHECK (ticket < 0)`); err != nil {
		t.Fatal(err)
	}
	d := drawer.New(b.Store, b.drawer)
	testenv.Eventually(t, "the draw is tried", 10*time.Second, func() bool {
		_, err := d.Draw(ctx, made.ID, nil)
		return err != nil && !errors.As(err, new(*raffle.DrawNotDueError))
	})
	if r := b.verify(t, made.ID); r.State != raffle.Closed || len(b.records(t, made.ID)) != len(before) {
		t.Errorf("%+v", r)
	}
	if _, err := b.pool.Exec(ctx, `ALTER TABLE winners DROP CONSTRAINT fails`); err != nil {
		t.Fatal(err)
	}
	b.drawDue(t, made.ID)
	b.verifyLog(t, made.ID)
}

func TestDrawer_ProvesTicketsOfManyPages(t *testing.T) {
	t.Parallel()
	b := setupDraws(t)
	ctx := t.Context()
	made := b.createDrawn(t, raffle.Raffle{MaxEntriesPerMember: 1000})
	const perBatch = 3000
	for range 4 {
		b.enterMembers(t, made.ID, perBatch)
	}
	d := drawer.New(b.Store, b.drawer)
	r := b.verify(t, made.ID)
	for _, ticket := range []int64{0, 1, 4095, 4096, 8191, 8192, r.Log.Tree.Size - 1} {
		got, err := d.Ticket(ctx, made.ID, ticket)
		if err != nil {
			t.Fatal(err)
		}
		receipt, err := draw.ParseReceipt([]byte(got.Proof))
		if err != nil {
			t.Fatal(err)
		}
		if head, err := receipt.Open(got.Record, b.key); err != nil || head != r.Log.Head() || receipt.Index != ticket {
			t.Errorf("ticket %d: %v, %v", ticket, head, err)
		}
		if want := map[bool]raffle.TicketState{true: raffle.NoEntry, false: raffle.Live}[ticket == 0]; got.State != want {
			t.Errorf("ticket %d is %d", ticket, got.State)
		}
	}
	if _, err := d.Ticket(ctx, made.ID, r.Log.Tree.Size); !errors.As(err, new(*raffle.TicketNotFoundError)) {
		t.Errorf("a ticket that there is not: %v", err)
	}
	var whole int
	for from := int64(0); ; from += logfile.PageSize {
		page, err := d.LogPage(ctx, made.ID, from)
		if err != nil {
			t.Fatal(err)
		}
		if len(page) == 0 {
			break
		}
		for _, err := range logfile.Records(bytes.NewReader(page)) {
			if err != nil {
				t.Fatal(err)
			}
			whole++
		}
	}
	if int64(whole) != r.Log.Tree.Size {
		t.Errorf("the pages have %d records of %d", whole, r.Log.Tree.Size)
	}
}
