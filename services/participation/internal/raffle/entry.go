package raffle

import (
	"time"

	"github.com/rafflecast/rafflecast/services/draw"
)

// RequestID identifies a request, so that a request that is sent again is answered
// instead of executed a second time. The zero value means that it has none.
type RequestID [16]byte

// Entry is one chance of one member in one raffle.
type Entry struct {
	RaffleID  int64
	MemberID  string
	Ordinal   int32 // numbers the member's entries in the raffle, from 1
	RequestID RequestID
	CreatedAt time.Time
	Ticket    int64 // the index of its record in the raffle's log; 0 if the raffle has none
}

// EntryKey identifies an entry within its raffle.
type EntryKey struct {
	MemberID string
	Ordinal  int32
}

// MaxWithdrawn bounds how many entries a member may withdraw from a raffle and
// still enter it again. Withdrawn entries are kept and are read with each of the
// member's requests, so their number must be bounded.
const MaxWithdrawn = 100

// EnterRequest asks for one entry.
type EnterRequest struct {
	RaffleID  int64
	MemberID  string
	RequestID RequestID
	// Tag may be made before the request is decided, so that this takes no time under
	// the raffle's lock. If it is not that of the raffle as it is then, it is made anew.
	Tag Tag
}

// EnterResult is the answer to one EnterRequest. If Err is set, it is an error of
// this package and the other fields are empty.
type EnterResult struct {
	Entry         Entry
	MemberEntries int32 // entries that the member has, this one included
	Replayed      bool  // an earlier request with the same id placed the entry
	// Opening opens the member's tag in the raffle's log. It is zero if the raffle has no
	// log, or was purged.
	Opening draw.Opening
	// Raffle is as of the commit that wrote or found the entry. The results of a batch share
	// it, so it must not be changed. It is nil if Err is set.
	Raffle *Raffle
	Err    error
}
