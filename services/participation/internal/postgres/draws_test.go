package postgres_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/rafflecast/rafflecast/services/draw"
	"github.com/rafflecast/rafflecast/services/draw/logfile"
	"github.com/rafflecast/rafflecast/services/participation/internal/drawer"
	"github.com/rafflecast/rafflecast/services/participation/internal/raffle"
	"github.com/rafflecast/rafflecast/services/test/testenv"
)

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
		"a record":       `UPDATE raffle_log SET records = set_byte(records, 11, get_byte(records, 11) # 1) WHERE first = 1`,
		"a dropped row":  `DELETE FROM raffle_log WHERE first = 1`,
		"the tree":       `UPDATE raffles SET log_tree = set_byte(log_tree, 11, get_byte(log_tree, 11) # 1)`,
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
