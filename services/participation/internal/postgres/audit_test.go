package postgres_test

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/rafflecast/rafflecast/services/participation/internal/raffle"
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
