package raffle

import (
	"errors"
	"testing"
)

func TestRaffle_Withdraw(t *testing.T) {
	t.Parallel()
	entries := func() []StoredEntry {
		return []StoredEntry{
			{Entry: Entry{RaffleID: 1, MemberID: "m", Ordinal: 1}},
			{Entry: Entry{RaffleID: 1, MemberID: "m", Ordinal: 2}, Withdrawn: true, WithdrawRequestID: RequestID{2}},
			{Entry: Entry{RaffleID: 1, MemberID: "m", Ordinal: 3}},
		}
	}
	for _, c := range []struct {
		name               string
		ordinal            int32
		request            byte
		state              State
		got, left          int32
		replayed, notFound bool
	}{
		{"the newest", 0, 0, Open, 3, 1, false, false},
		{"the one named", 1, 9, Open, 1, 1, false, false},
		{"withdrawn before", 2, 9, Open, 0, 0, false, true},
		{"never there", 4, 0, Open, 0, 0, false, true},
		{"a replayed request", 0, 2, Open, 2, 2, true, false},
		{"a replayed request after the close", 0, 2, Closed, 2, 2, true, false},
	} {
		r := openRaffle(1, 5)
		r.EntryCount, r.MemberCount, r.State = 2, 1, c.state
		before := r
		req := WithdrawRequest{RaffleID: 1, MemberID: "m", Ordinal: c.ordinal}
		if c.request != 0 {
			req.RequestID = RequestID{c.request}
		}
		res, err := r.Withdraw(req, entries(), noon)
		if _, notFound := errors.AsType[*EntryNotFoundError](err); notFound != c.notFound {
			t.Errorf("%s: %v", c.name, err)
		}
		if !c.notFound && (res.Entry.Ordinal != c.got || res.MemberEntries != c.left || res.Replayed != c.replayed || res.Raffle != r) {
			t.Errorf("%s: %+v", c.name, res)
		}
		if changed := r != before; changed != (!c.notFound && !c.replayed) || changed && (r.EntryCount != 1 || r.MemberCount != 1 || r.Version != 2) {
			t.Errorf("%s: %+v", c.name, r)
		}
	}
	closed := openRaffle(1, 1)
	closed.State = Closed
	if _, err := closed.Withdraw(WithdrawRequest{RaffleID: 1}, entries(), noon); !errors.As(err, new(*NotOpenError)) {
		t.Errorf("after the close: %v", err)
	}
	other := openRaffle(1, 5)
	req := WithdrawRequest{RaffleID: 1, MemberID: "m", Ordinal: 1, RequestID: RequestID{2}}
	if _, err := other.Withdraw(req, entries(), noon); !errors.As(err, new(*RequestReusedError)) {
		t.Errorf("the id of a request that withdrew another entry: %v", err)
	}
	last := openRaffle(1, 1)
	last.EntryCount, last.MemberCount = 1, 1
	if _, err := last.Withdraw(WithdrawRequest{RaffleID: 1}, entries()[:1], noon); err != nil || last.EntryCount != 0 || last.MemberCount != 0 {
		t.Errorf("the last one: %+v, %v", last, err)
	}
}
