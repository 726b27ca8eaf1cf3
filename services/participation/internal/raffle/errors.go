package raffle

import (
	"errors"
	"fmt"
	"time"
)

// ErrUnavailable says that the store can't be reached or can't write now. A
// change that failed with it may or may not have been made: repeat it with its
// request id.
var ErrUnavailable = errors.New("the store is away")

// ErrBusy says that more calls wait than may; nothing was changed.
var ErrBusy = errors.New("too many calls wait")

// RequestReusedError says that a request id named a different request before.
type RequestReusedError struct{}

func (*RequestReusedError) Error() string { return "request_id was used for another request" }

// TimePassedError says that a time that must lie ahead has passed.
type TimePassedError struct {
	Field string // as in the contract
	Time  time.Time
}

func (e *TimePassedError) Error() string {
	return fmt.Sprintf("%s: must be in the future, and %s has passed", e.Field, e.Time.UTC().Format(time.RFC3339))
}

// TimesOutOfOrderError says that a raffle would not close after it opens.
type TimesOutOfOrderError struct{ OpensAt, ClosesAt time.Time }

func (e *TimesOutOfOrderError) Error() string {
	return fmt.Sprintf("closes_at: must be after opens_at (got %s, and opens_at is %s)",
		e.ClosesAt.UTC().Format(time.RFC3339), e.OpensAt.UTC().Format(time.RFC3339))
}

// ImmutableError says that a field can't be changed: never, or not any more in
// the state that the raffle is in.
type ImmutableError struct {
	RaffleID int64
	Field    string // as in the contract
	State    State  // the state that rules the change out; 0 if none allows it
}

func (e *ImmutableError) Error() string {
	if e.State == 0 {
		return e.Field + ": can't be changed"
	}
	return fmt.Sprintf("%s: can't be changed any more: the raffle is %s", e.Field, e.State)
}

// EntryNotFoundError says that a member has no such entry that counts.
type EntryNotFoundError struct {
	RaffleID int64
	Ordinal  int32 // 0: none at all
}

func (e *EntryNotFoundError) Error() string {
	if e.Ordinal == 0 {
		return fmt.Sprintf("the member has no entry in raffle %d", e.RaffleID)
	}
	return fmt.Sprintf("the member has no entry %d in raffle %d", e.Ordinal, e.RaffleID)
}

// NotFoundError says that there is no such raffle.
type NotFoundError struct{ RaffleID int64 }

func (e *NotFoundError) Error() string { return fmt.Sprintf("raffle %d does not exist", e.RaffleID) }

// NotOpenError says that a raffle does not take what was asked, in the state
// that it is in.
type NotOpenError struct {
	RaffleID int64
	State    State
	OpensAt  time.Time
}

func (e *NotOpenError) Error() string {
	if e.State == Scheduled {
		return fmt.Sprintf("raffle %d is not open yet: it opens at %s", e.RaffleID, e.OpensAt.UTC().Format(time.RFC3339))
	}
	return fmt.Sprintf("raffle %d is not open: it is %s", e.RaffleID, e.State)
}

// EntryLimitError says that a member has as many entries as the raffle allows.
type EntryLimitError struct {
	RaffleID int64
	Max      int32
}

func (e *EntryLimitError) Error() string {
	return fmt.Sprintf("the member has made all entries that raffle %d allows: %d", e.RaffleID, e.Max)
}
