package raffle

import (
	"time"

	"github.com/rafflecast/rafflecast/services/draw"
)

// WithdrawRequest asks to withdraw one entry.
type WithdrawRequest struct {
	RaffleID  int64
	MemberID  string
	Ordinal   int32 // 0 means the member's newest entry
	RequestID RequestID
}

// WithdrawResult is the answer to a WithdrawRequest.
type WithdrawResult struct {
	Entry         Entry  // the entry that was withdrawn
	MemberEntries int32  // entries that the member has left
	Replayed      bool   // an earlier request with the same id withdrew the entry
	Raffle        Raffle // as of the commit that withdrew the entry or found it withdrawn
}

// StoredEntry is an entry as the database holds it.
type StoredEntry struct {
	Entry
	Withdrawn         bool
	WithdrawRequestID RequestID // of the request that withdrew it
}

// Withdraw withdraws one of a member's entries, which are given by ascending
// ordinal. It fails with *NotOpenError if the raffle has ended, and with
// *EntryNotFoundError, or with *RequestReusedError if an earlier request with the same id
// withdrew another entry. A call that fails or is replayed changes nothing.
func (r *Raffle) Withdraw(req WithdrawRequest, entries []StoredEntry, now time.Time) (WithdrawResult, error) {
	var res WithdrawResult
	found := false
	for _, e := range entries {
		switch {
		case e.Withdrawn && req.RequestID != RequestID{} && e.WithdrawRequestID == req.RequestID:
			if req.Ordinal != 0 && req.Ordinal != e.Ordinal {
				return res, &RequestReusedError{}
			}
			res.Entry, res.Replayed, found = e.Entry, true, true
		case e.Withdrawn:
		default:
			res.MemberEntries++
			if !res.Replayed && (req.Ordinal == 0 || req.Ordinal == e.Ordinal) {
				res.Entry, found = e.Entry, true
			}
		}
	}
	if res.Replayed {
		res.Raffle = *r
		return res, nil
	}
	if state := r.StateAt(now); state.Ended() {
		return res, r.notOpen(state)
	}
	if !found {
		return res, &EntryNotFoundError{RaffleID: r.ID, Ordinal: req.Ordinal}
	}
	if r.Log != nil && res.Entry.Ticket != 0 {
		if err := r.Log.appendEncoded(draw.Withdrawal{Ticket: res.Entry.Ticket}); err != nil {
			return res, err
		}
	}
	r.Holders.move(res.MemberEntries, res.MemberEntries-1)
	res.MemberEntries--
	r.EntryCount--
	if res.MemberEntries == 0 {
		r.MemberCount--
	}
	r.State = r.StateAt(now)
	r.bumpVersion(now)
	res.Raffle = *r
	return res, nil
}
