package raffle

import (
	"errors"
	"testing"
	"time"
)

// enter returns a request to enter raffle 1; id 0 means without a request id.
func enter(member string, id byte) EnterRequest {
	req := EnterRequest{RaffleID: 1, MemberID: member}
	if id != 0 {
		req.RequestID = RequestID{id}
	}
	return req
}

func TestAdmission_GivesEachRaffleOneVersionForAllItsEntries(t *testing.T) {
	t.Parallel()
	other := openRaffle(1, 1)
	other.ID, other.Version = 2, 7
	untouched := openRaffle(1, 1)
	untouched.ID = 3
	a := NewAdmission(noon, []Raffle{openRaffle(1, 2), other, untouched}, 0)
	a.LoadMember(1, "has one", MemberState{EntryCount: 1, LastOrdinal: 4})
	a.LoadMember(2, "new", MemberState{EntryCount: 0, LastOrdinal: 8})
	d := a.Decide([]EnterRequest{
		enter("new", 0), enter("has one", 0), {RaffleID: 2, MemberID: "new"}, enter("new", 0),
	})
	if len(d.Placed) != 4 || len(d.Changed) != 2 {
		t.Fatalf("placed %+v, changed %+v", d.Placed, d.Changed)
	}
	for _, r := range d.Changed {
		entries, members, version := int64(3), int64(1), int64(2) // "has one" was a member before
		if r.ID == 2 {
			entries, version = 1, 8
		}
		if r.EntryCount != entries || r.MemberCount != members || r.Version != version || !r.UpdatedAt.Equal(noon) {
			t.Errorf("raffle %+v", r)
		}
	}
	for i, want := range []struct {
		member           string
		ordinal, entries int32
		version, total   int64
	}{
		{"new", 1, 1, 2, 3},
		{"has one", 5, 2, 2, 3},
		{"new", 9, 1, 8, 1},
		{"new", 2, 2, 2, 3},
	} {
		res := d.Results[i]
		if res.Err != nil || res.Replayed || res.Entry != d.Placed[i] || res.Entry.MemberID != want.member ||
			res.Entry.Ordinal != want.ordinal || res.MemberEntries != want.entries || !res.Entry.CreatedAt.Equal(noon) ||
			res.Raffle.ID != res.Entry.RaffleID || res.Raffle.Version != want.version || res.Raffle.EntryCount != want.total {
			t.Errorf("result %d: %+v", i, res)
		}
	}
}

func TestAdmission_RefusesByTheRules(t *testing.T) {
	t.Parallel()
	closed := openRaffle(1, 1)
	closed.ID, closed.ClosesAt = 2, noon
	later := openRaffle(1, 1)
	later.ID, later.State, later.OpensAt = 3, Scheduled, noon.Add(time.Hour)
	a := NewAdmission(noon, []Raffle{openRaffle(1, 1), closed, later}, 0)
	a.LoadMember(1, "full", MemberState{EntryCount: 1, LastOrdinal: 1})
	d := a.Decide([]EnterRequest{
		enter("full", 0), {RaffleID: 2, MemberID: "m"}, {RaffleID: 3, MemberID: "m"}, {RaffleID: 4, MemberID: "m"},
	})
	if len(d.Placed) != 0 {
		t.Errorf("placed %+v", d.Placed)
	}
	// The state of the second did not fit its times, so the batch corrects it.
	if len(d.Changed) != 1 || d.Changed[0].ID != 2 || d.Changed[0].State != Closed || d.Changed[0].Version != 2 {
		t.Errorf("changed %+v", d.Changed)
	}
	if limit, ok := errors.AsType[*EntryLimitError](d.Results[0].Err); !ok || limit.Max != 1 {
		t.Errorf("full: %v", d.Results[0].Err)
	}
	for i, want := range map[int]State{1: Closed, 2: Scheduled} {
		if notOpen, ok := errors.AsType[*NotOpenError](d.Results[i].Err); !ok || notOpen.State != want {
			t.Errorf("%v: %v", want, d.Results[i].Err)
		}
	}
	if notFound, ok := errors.AsType[*NotFoundError](d.Results[3].Err); !ok || notFound.RaffleID != 4 {
		t.Errorf("unknown: %v", d.Results[3].Err)
	}
}

func TestAdmission_LimitsEntriesWithinABatch(t *testing.T) {
	t.Parallel()
	d := NewAdmission(noon, []Raffle{openRaffle(1, 2)}, 0).Decide([]EnterRequest{
		enter("m", 0), enter("m", 0), enter("m", 0), enter("other", 0),
	})
	if len(d.Placed) != 3 || d.Changed[0].EntryCount != 3 || d.Changed[0].MemberCount != 2 {
		t.Errorf("placed %+v, changed %+v", d.Placed, d.Changed)
	}
	if limit, ok := errors.AsType[*EntryLimitError](d.Results[2].Err); !ok || limit.Max != 2 {
		t.Errorf("third entry of two allowed: %+v", d.Results[2])
	}
}

func TestAdmission_BoundsWithdrawnEntriesOfAMember(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		last int32
		ok   bool
	}{{5 + MaxWithdrawn - 1, true}, {5 + MaxWithdrawn, false}} {
		a := NewAdmission(noon, []Raffle{openRaffle(1, 5)}, 0)
		a.LoadMember(1, "restless", MemberState{EntryCount: 0, LastOrdinal: c.last})
		err := a.Decide([]EnterRequest{enter("restless", 0)}).Results[0].Err
		limit, refused := errors.AsType[*WithdrawalLimitError](err)
		if refused == c.ok || refused && limit.Max != MaxWithdrawn {
			t.Errorf("after ordinal %d: %v", c.last, err)
		}
	}
}

func TestAdmission_ReplaysStoredEntries(t *testing.T) {
	t.Parallel()
	closed := openRaffle(1, 1)
	closed.State, closed.EntryCount = Closed, 1
	a := NewAdmission(noon, []Raffle{closed}, 0)
	before := Entry{RaffleID: 1, MemberID: "m", Ordinal: 1, RequestID: RequestID{7}, CreatedAt: noon.Add(-time.Hour)}
	a.LoadMember(1, "m", MemberState{EntryCount: 1, LastOrdinal: 1})
	a.LoadEntry(before)
	d := a.Decide([]EnterRequest{
		enter("m", 7),     // although the raffle is closed and the member has all entries
		enter("other", 7), // the same id from another member is another request
	})
	res := d.Results
	if !res[0].Replayed || res[0].Entry != before || res[0].MemberEntries != 1 || *res[0].Raffle != closed || res[1].Err == nil {
		t.Errorf("%+v", res)
	}
	if len(d.Placed) != 0 || len(d.Changed) != 0 {
		t.Errorf("placed %+v, changed %+v", d.Placed, d.Changed)
	}
}

func TestAdmission_ReplaysRequestsWithinABatch(t *testing.T) {
	t.Parallel()
	d := NewAdmission(noon, []Raffle{openRaffle(1, 5)}, 0).Decide([]EnterRequest{
		enter("m", 9), enter("m", 9), enter("m", 0), enter("m", 0),
	})
	res := d.Results
	if len(d.Placed) != 3 || res[0].Replayed || !res[1].Replayed || res[0].Entry != res[1].Entry {
		t.Errorf("%+v", d)
	}
	if res[2].Replayed || res[3].Replayed || res[2].Entry == res[3].Entry {
		t.Errorf("requests without an id were taken for one: %+v", res)
	}
}

func TestAdmission_ReplaysRequestsThatCrossInABatch(t *testing.T) {
	t.Parallel()
	var reqs []EnterRequest
	for id := range byte(5) {
		for repeat := range id + 1 { // each request comes again after each of the later ones
			for _, member := range []string{"a", "b"} {
				reqs = append(reqs, enter(member, repeat+1))
			}
		}
	}
	d := NewAdmission(noon, []Raffle{openRaffle(1, 5)}, 0).Decide(reqs)
	first := map[EnterRequest]Entry{}
	for i, res := range d.Results {
		e, again := first[reqs[i]]
		if res.Err != nil || res.Replayed != again || again && res.Entry != e {
			t.Errorf("request %d, %+v: %+v; before: %+v", i, reqs[i], res, e)
		}
		first[reqs[i]] = res.Entry
	}
	if len(d.Placed) != 10 {
		t.Errorf("%d entries", len(d.Placed))
	}
}

func TestAdmission_ClosesARaffleInTime(t *testing.T) {
	t.Parallel()
	r := openRaffle(1, 1)
	r.ClosesAt = noon
	d := NewAdmission(noon, []Raffle{r}, 0).Decide([]EnterRequest{enter("late", 0)})
	if notOpen, ok := errors.AsType[*NotOpenError](d.Results[0].Err); !ok || notOpen.State != Closed {
		t.Errorf("late: %+v", d.Results[0])
	}
	if len(d.Changed) != 1 || d.Changed[0].State != Closed || d.Changed[0].Version != 2 {
		t.Errorf("changed %+v", d.Changed)
	}
}

func TestAdmission_OpensARaffleInTime(t *testing.T) {
	t.Parallel()
	r := openRaffle(1, 1)
	r.State, r.OpensAt = Scheduled, noon
	d := NewAdmission(noon, []Raffle{r}, 0).Decide([]EnterRequest{enter("first", 0)})
	if d.Results[0].Err != nil || len(d.Placed) != 1 || d.Changed[0].State != Open || d.Results[0].Raffle.State != Open {
		t.Errorf("%+v", d)
	}
}
