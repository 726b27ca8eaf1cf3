package raffle

import (
	"errors"
	"testing"
)

func TestWithdraw(t *testing.T) {
	t.Parallel()
	entries := func() []Placement {
		return []Placement{
			{Entry: Entry{RaffleID: 1, MemberID: "m", Ordinal: 1}},
			{Entry: Entry{RaffleID: 1, MemberID: "m", Ordinal: 2}, Withdrawn: true, WithdrawID: RequestID{2}},
			{Entry: Entry{RaffleID: 1, MemberID: "m", Ordinal: 3}},
		}
	}
	for _, c := range []struct {
		name             string
		ordinal          int32
		request          byte
		state            State
		got, left        int32
		repeat, notFound bool
	}{
		{"the newest", 0, 0, Open, 3, 1, false, false},
		{"the one named", 1, 9, Open, 1, 1, false, false},
		{"withdrawn before", 2, 9, Open, 0, 0, false, true},
		{"never there", 4, 0, Open, 0, 0, false, true},
		{"a repeat", 0, 2, Open, 2, 2, true, false},
		{"a repeat after the close", 0, 2, Closed, 2, 2, true, false},
	} {
		r := open(1, 5)
		r.Entries, r.Members, r.State = 2, 1, c.state
		before := r
		req := WithdrawRequest{RaffleID: 1, MemberID: "m", Ordinal: c.ordinal}
		if c.request != 0 {
			req.RequestID = RequestID{c.request}
		}
		res, err := r.Withdraw(req, entries(), noon)
		if _, notFound := errors.AsType[*EntryNotFoundError](err); notFound != c.notFound {
			t.Errorf("%s: %v", c.name, err)
		}
		if !c.notFound && (res.Entry.Ordinal != c.got || res.MemberEntries != c.left || res.Repeat != c.repeat) {
			t.Errorf("%s: %+v", c.name, res)
		}
		if changed := r != before; changed != (!c.notFound && !c.repeat) || changed && (r.Entries != 1 || r.Members != 1 || r.Version != 2) {
			t.Errorf("%s: %+v", c.name, r)
		}
	}
	closed := open(1, 1)
	closed.State = Closed
	if _, err := closed.Withdraw(WithdrawRequest{RaffleID: 1}, entries(), noon); !errors.As(err, new(*NotOpenError)) {
		t.Errorf("after the close: %v", err)
	}
	last := open(1, 1)
	last.Entries, last.Members = 1, 1
	if _, err := last.Withdraw(WithdrawRequest{RaffleID: 1}, entries()[:1], noon); err != nil || last.Entries != 0 || last.Members != 0 {
		t.Errorf("the last one: %+v, %v", last, err)
	}
}
