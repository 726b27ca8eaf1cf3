package postgres_test

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rafflecast/rafflecast/services/participation/internal/drawer"
	"github.com/rafflecast/rafflecast/services/participation/internal/raffle"
	"github.com/rafflecast/rafflecast/services/test/testenv"
)

// audited returns the newest events first, each as "call by actor of raffle, member".
func (b *testBundle) audited(t *testing.T, raffleID, before int64, limit int) (texts []string, last int64) {
	t.Helper()
	list, err := b.ListAuditEvents(t.Context(), raffleID, before, limit)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list {
		if e.At.IsZero() {
			t.Errorf("%+v has no time", e)
		}
		texts = append(texts, fmt.Sprintf("%s by %s of %d, %s", e.Call, e.Actor, e.RaffleID, e.MemberID))
		last = e.ID
	}
	return texts, last
}

func TestAudit_RecordsWhoChangesRaffles(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ann, shop := raffle.WithActor(t.Context(), "ann"), raffle.WithActor(t.Context(), "shop")
	one, err := b.Create(ann, raffle.Raffle{Title: "A", Winners: 1, MaxEntriesPerMember: 9}, raffle.RequestID{1})
	if err != nil {
		t.Fatal(err)
	}
	other := b.create(t, raffle.Raffle{}) // by nobody who is known
	if _, err := b.Create(ann, raffle.Raffle{Title: "A", Winners: 1, MaxEntriesPerMember: 9}, raffle.RequestID{1}); err != nil {
		t.Fatal(err) // replayed, which is no event
	}
	for range 2 {
		b.enter(t, raffle.EnterRequest{RaffleID: one.ID, MemberID: "7"})
	}
	change := raffle.Change{Title: new("B")}
	for range 2 { // the second is replayed
		if _, err := b.Update(ann, one.ID, change, raffle.RequestID{2}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := b.Withdraw(t.Context(), raffle.WithdrawRequest{RaffleID: one.ID, MemberID: "7"}); err != nil {
		t.Fatal(err) // by the member itself, which is no event
	}
	if _, err := b.Withdraw(shop, raffle.WithdrawRequest{RaffleID: one.ID, MemberID: "7"}); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Close(ann, one.ID, raffle.RequestID{}); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Cancel(ann, one.ID, raffle.RequestID{}); !errors.As(err, new(*raffle.NotOpenError)) {
		t.Fatal(err) // it failed, which is no event
	}
	if _, err := b.Cancel(shop, other.ID, raffle.RequestID{}); err != nil {
		t.Fatal(err)
	}
	want := []string{
		fmt.Sprintf("CancelRaffle by shop of %d, ", other.ID), fmt.Sprintf("CloseRaffle by ann of %d, ", one.ID),
		fmt.Sprintf("Withdraw by shop of %d, 7", one.ID), fmt.Sprintf("UpdateRaffle by ann of %d, ", one.ID),
		fmt.Sprintf("CreateRaffle by  of %d, ", other.ID), fmt.Sprintf("CreateRaffle by ann of %d, ", one.ID),
	}
	if got, _ := b.audited(t, 0, math.MaxInt64, 100); !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
	first, last := b.audited(t, 0, math.MaxInt64, 4)
	rest, _ := b.audited(t, 0, last, 100)
	if got := slices.Concat(first, rest); !slices.Equal(got, want) {
		t.Errorf("in pages: %q", got)
	}
	if got, _ := b.audited(t, other.ID, math.MaxInt64, 100); !slices.Equal(got, []string{want[0], want[4]}) {
		t.Errorf("of one raffle: %q", got)
	}
}

// rows tells what a change of a raffle, or its event, would change.
func (b *testBundle) rows(t *testing.T) (text string) {
	t.Helper()
	if err := b.pool.QueryRow(t.Context(), `SELECT concat_ws(', ',
		(SELECT string_agg(id || ' is at ' || version, ', ' ORDER BY id) FROM raffles),
		(SELECT count(*) || ' entries, without withdrawal ' || count(*) - count(withdrawn_at) FROM entries),
		(SELECT count(*) || ' winners with members ' || count(member_id) FROM winners),
		(SELECT count(*) || ' events' FROM audit_events))`).Scan(&text); err != nil {
		t.Fatal(err)
	}
	return text
}

// exec executes statements one after the other.
func (b *testBundle) exec(t *testing.T, statements ...string) {
	t.Helper()
	for _, statement := range statements {
		if _, err := b.pool.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
}

// A change and its event are one transaction: neither is made without the other.
func TestAudit_IsMadeWithItsChange(t *testing.T) {
	t.Parallel()
	b := setupDraws(t)
	ctx := raffle.WithActor(t.Context(), "ann")
	b.exec(t, `CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'refused'; END $$`)
	made, other := b.createDrawn(t, raffle.Raffle{Winners: 2}), b.create(t, raffle.Raffle{})
	b.enterMembers(t, made.ID, 6)
	var winners []raffle.Winner
	drawDue := func() (err error) {
		testenv.Eventually(t, "the draw is due", 10*time.Second, func() bool {
			_, err = drawer.New(b.Store, b.drawer).Draw(ctx, made.ID, nil)
			return !errors.As(err, new(*raffle.DrawNotDueError))
		})
		return err
	}
	strike := func() error {
		first := slices.IndexFunc(winners, func(w raffle.Winner) bool { return w.State == raffle.Wins })
		_, _, _, err := b.Strike(ctx, made.ID, winners[first].Ticket, 1, raffle.RequestID{})
		return err
	}
	for _, c := range []struct {
		call   string
		change func() error
	}{
		{"CreateRaffle", func() error {
			_, err := b.Create(ctx, raffle.Raffle{Title: "A", Winners: 1, MaxEntriesPerMember: 1}, raffle.RequestID{})
			return err
		}},
		{"UpdateRaffle", func() error {
			_, err := b.Update(ctx, made.ID, raffle.Change{Title: new("B")}, raffle.RequestID{})
			return err
		}},
		{"Withdraw", func() error {
			_, err := b.Withdraw(ctx, raffle.WithdrawRequest{RaffleID: made.ID, MemberID: "member-0"})
			return err
		}},
		{"CancelRaffle", func() error {
			_, err := b.Cancel(ctx, other.ID, raffle.RequestID{})
			return err
		}},
		{"CloseRaffle", func() error {
			_, err := b.Close(ctx, made.ID, raffle.RequestID{})
			return err
		}},
		{"DrawRaffle", drawDue},
		{"StrikeWinner", strike}, // whom an alternate follows
		{"StrikeWinner", strike}, // whom nobody does
		{"RedrawRaffle", func() error {
			_, err := b.Redraw(ctx, made.ID, raffle.RequestID{})
			return err
		}},
		{"DrawRaffle", drawDue},
		{"PurgeRaffle", func() error {
			_, err := b.Purge(ctx, made.ID, raffle.RequestID{})
			return err
		}},
	} {
		before := b.rows(t)
		b.exec(t, `ALTER TABLE audit_events ADD CONSTRAINT refused CHECK (false) NOT VALID`)
		if err := c.change(); err == nil || b.rows(t) != before {
			t.Errorf("%s without its event: %v; before %s, after %s", c.call, err, before, b.rows(t))
		}
		b.exec(t, `ALTER TABLE audit_events DROP CONSTRAINT refused`)
		for _, table := range []string{"raffles", "winners"} { // which a purge changes instead
			b.exec(t, `CREATE CONSTRAINT TRIGGER refused AFTER INSERT OR UPDATE ON `+table+` DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION refuse()`)
		}
		if err := c.change(); err == nil || b.rows(t) != before {
			t.Errorf("%s whose commit fails: %v; before %s, after %s", c.call, err, before, b.rows(t))
		}
		b.exec(t, `DROP TRIGGER refused ON raffles`, `DROP TRIGGER refused ON winners`)
		if err := c.change(); err != nil || b.rows(t) == before {
			t.Fatalf("%s: %v, %s", c.call, err, b.rows(t))
		}
		if got, _ := b.audited(t, 0, math.MaxInt64, 1); !strings.HasPrefix(got[0], c.call+" by ann of ") {
			t.Errorf("%s is recorded as %q", c.call, got)
		}
		var err error
		if winners, err = b.ListWinners(ctx, made.ID, raffle.WinnerKey{}, 10); err != nil {
			t.Fatal(err)
		}
	}
}

func TestCreate_KeepsTheVisibility(t *testing.T) {
	t.Parallel()
	b := setup(t)
	public, members := b.create(t, raffle.Raffle{}), b.create(t, raffle.Raffle{Visibility: raffle.Members})
	for _, c := range []struct {
		id   int64
		want raffle.Visibility
	}{{public.ID, raffle.Public}, {members.ID, raffle.Members}} {
		if got := b.verify(t, c.id); got.Visibility != c.want {
			t.Errorf("%+v", got)
		}
	}
	secret, open := raffle.Members, raffle.Public
	if _, err := b.Update(t.Context(), members.ID, raffle.Change{Visibility: &secret, Title: new("B")}, raffle.RequestID{}); err != nil {
		t.Errorf("the visibility that it has: %v", err)
	}
	if _, err := b.Update(t.Context(), members.ID, raffle.Change{Visibility: &open}, raffle.RequestID{}); !errors.As(err, new(*raffle.ImmutableError)) {
		t.Errorf("another visibility: %v", err)
	}
}
