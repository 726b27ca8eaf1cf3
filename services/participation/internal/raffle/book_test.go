package raffle

import (
	"errors"
	"testing"
	"time"
)

func enter(b *Book, member string, id byte) {
	req := EnterRequest{RaffleID: 1, MemberID: member}
	if id != 0 {
		req.RequestID = RequestID{id}
	}
	b.Enter(req)
}

func TestBookGivesEachRaffleOneVersionForAllItsEntries(t *testing.T) {
	t.Parallel()
	b := NewBook(noon, []Raffle{open(1, 2)}, 0)
	b.Load(1, "has one", Standing{Entries: 1, Last: 4})
	enter(b, "new", 0)
	enter(b, "has one", 0)
	enter(b, "new", 0)
	out := b.Outcome()
	if len(out.Placed) != 3 || len(out.Changed) != 1 {
		t.Fatalf("%+v", out)
	}
	if r := out.Changed[0]; r.Entries != 3 || r.Members != 1 || r.Version != 2 || !r.UpdatedAt.Equal(noon) {
		t.Errorf("raffle %+v", r)
	}
	for i, want := range []struct{ ordinal, entries int32 }{{1, 1}, {5, 2}, {2, 2}} {
		res := out.Results[i]
		if res.Err != nil || res.Entry.Ordinal != want.ordinal || res.MemberEntries != want.entries ||
			res.Odds.Version != 2 || res.Odds.Entries != 3 || !res.Entry.CreatedAt.Equal(noon) {
			t.Errorf("result %d: %+v", i, res)
		}
	}
}

func TestBookRefuses(t *testing.T) {
	t.Parallel()
	closed := open(1, 1)
	closed.ID, closed.State = 2, Closed
	later := open(1, 1)
	later.ID, later.OpensAt = 3, noon.Add(time.Hour)
	b := NewBook(noon, []Raffle{open(1, 1), closed, later}, 0)
	b.Load(1, "full", Standing{Entries: 1, Last: 1})
	enter(b, "full", 0)
	b.Enter(EnterRequest{RaffleID: 2, MemberID: "m"})
	b.Enter(EnterRequest{RaffleID: 3, MemberID: "m"})
	b.Enter(EnterRequest{RaffleID: 4, MemberID: "m"})
	out := b.Outcome()
	if len(out.Placed) != 0 {
		t.Errorf("something was placed: %+v", out)
	}
	// The third's state was wrong: whoever comes writes it down.
	if len(out.Changed) != 1 || out.Changed[0].ID != 3 || out.Changed[0].State != Scheduled || out.Changed[0].Version != 2 {
		t.Errorf("changed: %+v", out.Changed)
	}
	if limit, ok := errors.AsType[*EntryLimitError](out.Results[0].Err); !ok || limit.Max != 1 {
		t.Errorf("full: %v", out.Results[0].Err)
	}
	for i, want := range map[int]State{1: Closed, 2: Scheduled} {
		if notOpen, ok := errors.AsType[*NotOpenError](out.Results[i].Err); !ok || notOpen.State != want {
			t.Errorf("%v: %v", want, out.Results[i].Err)
		}
	}
	if notFound, ok := errors.AsType[*NotFoundError](out.Results[3].Err); !ok || notFound.RaffleID != 4 {
		t.Errorf("unknown: %v", out.Results[3].Err)
	}
}

func TestBookBoundsHowOftenAMemberEnters(t *testing.T) {
	t.Parallel()
	b := NewBook(noon, []Raffle{open(1, 5)}, 0)
	b.Load(1, "restless", Standing{Entries: 0, Last: 5 + MaxWithdrawn})
	enter(b, "restless", 0)
	if limit, ok := errors.AsType[*EntryLimitError](b.Outcome().Results[0].Err); !ok || limit.Max != 5+MaxWithdrawn {
		t.Errorf("got %v", limit)
	}
}

func TestBookTellsRepeats(t *testing.T) {
	t.Parallel()
	closed := open(1, 1)
	closed.State, closed.Entries = Closed, 1
	b := NewBook(noon, []Raffle{closed}, 0)
	before := Entry{RaffleID: 1, MemberID: "m", Ordinal: 1, RequestID: RequestID{7}, CreatedAt: noon.Add(-time.Hour)}
	b.Load(1, "m", Standing{Entries: 1, Last: 1})
	b.LoadRepeat(before)
	enter(b, "m", 7)     // though the raffle is closed and the member full
	enter(b, "other", 7) // the same id of another member is another request
	if res := b.Outcome().Results; !res[0].Repeat || res[0].Entry != before || res[0].MemberEntries != 1 || res[1].Err == nil {
		t.Errorf("%+v", res)
	}

	b = NewBook(noon, []Raffle{open(1, 5)}, 0)
	enter(b, "m", 9)
	enter(b, "m", 9) // came while the first was waiting
	out := b.Outcome()
	if len(out.Placed) != 1 || out.Results[0].Repeat || !out.Results[1].Repeat || out.Results[0].Entry != out.Results[1].Entry {
		t.Errorf("%+v", out)
	}
}
