package raffle

import (
	"errors"
	"testing"
	"time"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func openRaffle(winners, maxEntries int32) Raffle {
	return Raffle{ID: 1, Winners: winners, MaxEntriesPerMember: maxEntries, State: Open, Version: 1}
}

func TestRaffle_ApplyScheduleFollowsTheClock(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name          string
		state         State
		opens, closes time.Time
		want          State
	}{
		{"no times", Open, time.Time{}, time.Time{}, Open},
		{"opens later", Scheduled, noon.Add(1), time.Time{}, Scheduled},
		{"opens now", Scheduled, noon, time.Time{}, Open},
		{"opened, and the clock stepped back", Open, noon.Add(time.Hour), noon.Add(2 * time.Hour), Open},
		{"closes later", Open, time.Time{}, noon.Add(1), Open},
		{"closes now", Open, time.Time{}, noon, Closed},
		{"came and went", Scheduled, noon.Add(-2), noon.Add(-1), Closed},
		{"cancelled stays", Cancelled, time.Time{}, noon.Add(1), Cancelled},
		{"closed early stays", Closed, time.Time{}, noon.Add(1), Closed},
	} {
		r := Raffle{State: c.state, OpensAt: c.opens, ClosesAt: c.closes, Version: 7}
		if got := r.StateAt(noon); got != c.want {
			t.Errorf("%s: StateAt is %v, want %v", c.name, got, c.want)
		}
		if changed, err := r.ApplySchedule(noon, nil); err != nil || changed != (c.state != c.want) || changed != (r.Version == 8) || r.State != c.want {
			t.Errorf("%s: ApplySchedule %t, then %+v", c.name, changed, r)
		}
	}
}

func TestRaffle_OpenRaffleTakesEntriesAfterTheClockStepsBack(t *testing.T) {
	t.Parallel()
	r := openRaffle(1, 1)
	r.OpensAt = noon
	before := noon.Add(-time.Second)
	d := NewAdmission(before, []Raffle{r}, 1).Decide([]EnterRequest{{RaffleID: 1, MemberID: "m"}})
	if d.Results[0].Err != nil || d.Results[0].Raffle.State != Open {
		t.Errorf("%+v", d.Results[0])
	}
	later := noon.Add(time.Hour)
	if err := r.Update(Change{OpensAt: &later}, before); !errors.As(err, new(*ImmutableError)) {
		t.Errorf("opens_at of an open raffle was changed: %v", err)
	}
}

func TestRaffle_Close(t *testing.T) {
	t.Parallel()
	r := openRaffle(1, 1)
	if err := r.Close(noon, nil); err != nil || r.State != Closed || r.Version != 2 || !r.UpdatedAt.Equal(noon) {
		t.Errorf("%+v, %v", r, err)
	}
	if notOpen, ok := errors.AsType[*NotOpenError](r.Close(noon, nil)); !ok || notOpen.State != Closed {
		t.Errorf("closed twice: %v", notOpen)
	}
	if r.Version != 2 {
		t.Errorf("a refused call made version %d", r.Version)
	}
}

func TestRaffle_Cancel(t *testing.T) {
	t.Parallel()
	r := openRaffle(1, 1)
	if err := r.Cancel(noon); err != nil || r.State != Cancelled || r.Version != 2 {
		t.Errorf("%+v, %v", r, err)
	}
	if notOpen, ok := errors.AsType[*NotOpenError](r.Cancel(noon)); !ok || notOpen.State != Cancelled {
		t.Errorf("cancelled twice: %v", notOpen)
	}
}

func TestRaffle_Update(t *testing.T) {
	t.Parallel()
	later, past, none := noon.Add(time.Hour), noon.Add(-time.Hour), time.Time{}
	scheduled := Raffle{ID: 1, Winners: 1, State: Scheduled, OpensAt: later, ClosesAt: later.Add(1), Version: 1}
	for _, c := range []struct {
		name   string
		raffle Raffle
		change Change
		field  string // what is wrong, if anything
		state  State
	}{
		{"title and winners", openRaffle(1, 1), Change{Title: new("B"), Winners: new(int32(3))}, "", Open},
		{"a closing time", openRaffle(1, 1), Change{ClosesAt: &later}, "", Open},
		{"no closing time", scheduled, Change{ClosesAt: &none}, "", Scheduled},
		{"opens at once", scheduled, Change{OpensAt: &none}, "", Open},
		{"opens after it closes", scheduled, Change{OpensAt: new(later.Add(1))}, "out of order", 0},
		{"closes in the past", openRaffle(1, 1), Change{ClosesAt: &past}, "closes_at has passed", 0},
		{"closes now", openRaffle(1, 1), Change{ClosesAt: new(noon)}, "closes_at has passed", 0},
		{"opens again", openRaffle(1, 1), Change{OpensAt: &later}, "opens_at is immutable", 0},
		{"the limit that it has", openRaffle(1, 1), Change{MaxEntriesPerMember: new(int32(1))}, "", Open},
		{"another limit", openRaffle(1, 1), Change{MaxEntriesPerMember: new(int32(2))}, "max_entries_per_member is immutable", 0},
	} {
		r := c.raffle
		err := r.Update(c.change, noon)
		field := ""
		if passed, ok := errors.AsType[*TimePassedError](err); ok {
			field = passed.Field + " has passed"
		} else if _, ok := errors.AsType[*TimesOutOfOrderError](err); ok {
			field = "out of order"
		} else if immutable, ok := errors.AsType[*ImmutableError](err); ok {
			field = immutable.Field + " is immutable"
		}
		switch {
		case c.field == "" && (err != nil || r.Version != 2 || r.State != c.state):
			t.Errorf("%s: %+v, %v", c.name, r, err)
		case c.field != "" && (field != c.field || r != c.raffle):
			t.Errorf("%s: %+v, %v", c.name, r, err)
		}
	}
	closed := openRaffle(1, 1)
	closed.State = Closed
	if _, ok := errors.AsType[*NotOpenError](closed.Update(Change{Title: new("B")}, noon)); !ok {
		t.Error("a closed raffle was changed")
	}
}

func TestRaffle_Probabilities(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		winners   int32
		entries   int64
		state     State
		p, next   float64
		has, open bool
	}{
		{1, 0, Open, 0, 100, false, true},
		{1, 1, Open, 100, 50, true, true},
		{1, 42, Open, 2.380952380952381, 2.3255813953488373, true, true},
		{5, 3, Open, 100, 100, true, true},
		{5, 10, Closed, 50, 0, true, false},
		{1, 0, Closed, 0, 0, false, false},
		{1, 0, Scheduled, 0, 0, false, false},
	} {
		r := Raffle{Winners: c.winners, EntryCount: c.entries, State: c.state}
		if p, ok := r.WinnerProbability(); p != c.p || ok != c.has {
			t.Errorf("%+v: winner %v, %t", c, p, ok)
		}
		if p, ok := r.NextEntryProbability(); p != c.next || ok != c.open {
			t.Errorf("%+v: next %v, %t", c, p, ok)
		}
	}
}
