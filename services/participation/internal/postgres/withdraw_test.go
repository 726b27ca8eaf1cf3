package postgres_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/rafflecast/rafflecast/services/participation/internal/raffle"
)

func TestStore_WithdrawKeepsTheEntryForReplays(t *testing.T) {
	t.Parallel()
	b := setup(t)
	r := b.create(t, raffle.Raffle{MaxEntriesPerMember: 2})
	first := raffle.EnterRequest{RaffleID: r.ID, MemberID: "m", RequestID: raffle.RequestID{1}}
	b.enter(t, first)
	b.enter(t, raffle.EnterRequest{RaffleID: r.ID, MemberID: "m", RequestID: raffle.RequestID{2}})
	back := raffle.WithdrawRequest{RaffleID: r.ID, MemberID: "m", Ordinal: 1, RequestID: raffle.RequestID{3}}
	res, err := b.Withdraw(t.Context(), back)
	if err != nil || res.Entry.Ordinal != 1 || res.MemberEntries != 1 || res.Replayed || res.Raffle.EntryCount != 1 {
		t.Errorf("%+v, %v", res, err)
	}
	again, err := b.Withdraw(t.Context(), back)
	if err != nil || !again.Replayed || again.Entry.Ordinal != 1 || again.Raffle.Version != res.Raffle.Version {
		t.Errorf("replayed: %+v, %v", again, err)
	}
	// A request to enter that was long under way does not enter again.
	if late := b.enter(t, first); !late.Replayed || late.Entry.Ordinal != 1 {
		t.Errorf("late: %+v", late)
	}
	// A new entry does, with an ordinal that was not given before.
	if anew := b.enter(t, raffle.EnterRequest{RaffleID: r.ID, MemberID: "m", RequestID: raffle.RequestID{4}}); anew.Entry.Ordinal != 3 || anew.MemberEntries != 2 {
		t.Errorf("new entry: %+v", anew)
	}
	if _, err := b.Withdraw(t.Context(), raffle.WithdrawRequest{RaffleID: r.ID, MemberID: "stranger"}); !errors.As(err, new(*raffle.EntryNotFoundError)) {
		t.Errorf("stranger: %v", err)
	}
	if _, err := b.Withdraw(t.Context(), raffle.WithdrawRequest{RaffleID: 99, MemberID: "m"}); !isNotFound(err) {
		t.Errorf("unknown raffle: %v", err)
	}
	b.verify(t, r.ID)
}

func TestStore_ListEntriesInPages(t *testing.T) {
	t.Parallel()
	b := setup(t)
	r, other := b.create(t, raffle.Raffle{MaxEntriesPerMember: 3}), b.create(t, raffle.Raffle{})
	for _, m := range []string{"b", "a", "Z", "a", "b", "a"} {
		b.enter(t, raffle.EnterRequest{RaffleID: r.ID, MemberID: m})
	}
	b.enter(t, raffle.EnterRequest{RaffleID: other.ID, MemberID: "a"})
	if _, err := b.Withdraw(t.Context(), raffle.WithdrawRequest{RaffleID: r.ID, MemberID: "a", Ordinal: 2}); err != nil {
		t.Fatal(err)
	}
	pages := func(member string) (got string) {
		t.Helper()
		var after raffle.EntryKey
		for {
			page, err := b.ListEntries(t.Context(), r.ID, member, after, 2)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range page {
				got += fmt.Sprintf("%s%d ", e.MemberID, e.Ordinal)
				after = raffle.EntryKey{MemberID: e.MemberID, Ordinal: e.Ordinal}
			}
			if len(page) < 2 {
				return got
			}
		}
	}
	if got := pages(""); got != "Z1 a1 a3 b1 b2 " {
		t.Errorf("all: %s", got)
	}
	if got := pages("a"); got != "a1 a3 " {
		t.Errorf("of a: %s", got)
	}
	if got := pages("nobody"); got != "" {
		t.Errorf("of nobody: %s", got)
	}
	if _, err := b.ListEntries(t.Context(), 99, "", raffle.EntryKey{}, 2); !isNotFound(err) {
		t.Errorf("unknown raffle: %v", err)
	}
}
