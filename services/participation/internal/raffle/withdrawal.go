package raffle

import "time"

// WithdrawRequest names an entry to take back.
type WithdrawRequest struct {
	RaffleID  int64
	MemberID  string
	Ordinal   int32 // 0: the member's newest
	RequestID RequestID
}

// WithdrawResult tells of an entry that was taken back.
type WithdrawResult struct {
	Entry         Entry
	MemberEntries int32 // entries that the member has left
	Repeat        bool  // an earlier request with the same id took it back
	Odds          Odds
}

// Placement is an entry as it is stored.
type Placement struct {
	Entry
	Withdrawn  bool
	WithdrawID RequestID // of the request that withdrew it
}

// Withdraw takes back one of a member's entries in the raffle, which are given by
// ascending ordinal. It fails with *NotOpenError where the raffle is final, and
// with *EntryNotFoundError.
func (r *Raffle) Withdraw(req WithdrawRequest, entries []Placement, now time.Time) (WithdrawResult, error) {
	var res WithdrawResult
	found := false
	for _, e := range entries {
		switch {
		case e.Withdrawn && req.RequestID != RequestID{} && e.WithdrawID == req.RequestID:
			res.Entry, res.Repeat, found = e.Entry, true, true
		case e.Withdrawn:
		default:
			res.MemberEntries++
			if !res.Repeat && (req.Ordinal == 0 || req.Ordinal == e.Ordinal) {
				res.Entry, found = e.Entry, true
			}
		}
	}
	if res.Repeat {
		return res, nil
	}
	if state := r.StateAt(now); state.Final() {
		return res, r.notOpen(state)
	}
	if !found {
		return res, &EntryNotFoundError{RaffleID: r.ID, Ordinal: req.Ordinal}
	}
	res.MemberEntries--
	r.Entries--
	if res.MemberEntries == 0 {
		r.Members--
	}
	r.State = r.StateAt(now)
	r.changed(now)
	return res, nil
}
