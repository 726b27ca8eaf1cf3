package raffle

import (
	"errors"
	"fmt"
	"time"
)

// ErrUnavailable means that the database cannot be reached or cannot write at
// present. A change that fails with it may or may not have been made: call again
// with the same request id.
var ErrUnavailable = errors.New("the database is unavailable")

// ErrLocked means that another transaction, which is not one of ours, holds a raffle for
// longer than a call should wait. It is an ErrUnavailable. Nothing was changed.
var ErrLocked = fmt.Errorf("%w: the raffle is locked by another transaction", ErrUnavailable)

// ErrNotNext means that a batch can't be written behind the one that is being written, without
// waiting for it. Nothing was changed.
var ErrNotNext = errors.New("the batch can't follow the one that is being written")

// ErrBusy means that too many calls are waiting already. Nothing was changed.
var ErrBusy = errors.New("too many calls are waiting")

// RequestReusedError means that an earlier, different request had the same
// request id.
type RequestReusedError struct{}

func (*RequestReusedError) Error() string { return "request_id was used for another request" }

// TimePassedError means that a time that must lie in the future has passed.
type TimePassedError struct {
	Field string // its name in the contract
	Time  time.Time
}

func (e *TimePassedError) Error() string {
	return fmt.Sprintf("%s: must be in the future, and %s has passed", e.Field, e.Time.UTC().Format(time.RFC3339))
}

// TimesOutOfOrderError means that a raffle would not close after it opens.
type TimesOutOfOrderError struct{ OpensAt, ClosesAt time.Time }

func (e *TimesOutOfOrderError) Error() string {
	return fmt.Sprintf("closes_at: must be after opens_at (got %s, and opens_at is %s)",
		e.ClosesAt.UTC().Format(time.RFC3339), e.OpensAt.UTC().Format(time.RFC3339))
}

// ImmutableError means that a field cannot be changed: never, or no longer in the
// state that the raffle has.
type ImmutableError struct {
	RaffleID int64
	Field    string // its name in the contract
	State    State  // the state that forbids the change; 0 if every state does
}

func (e *ImmutableError) Error() string {
	if e.State == 0 {
		return e.Field + ": cannot be changed"
	}
	return fmt.Sprintf("%s: cannot be changed any more: the raffle is %s", e.Field, e.State)
}

// EntryNotFoundError means that a member has no such entry, or has withdrawn it.
type EntryNotFoundError struct {
	RaffleID int64
	Ordinal  int32 // 0 if the request named none: the member has no entry at all
}

func (e *EntryNotFoundError) Error() string {
	if e.Ordinal == 0 {
		return fmt.Sprintf("the member has no entry in raffle %d", e.RaffleID)
	}
	return fmt.Sprintf("the member has no entry %d in raffle %d", e.Ordinal, e.RaffleID)
}

// UnreadableError means that the row of a raffle has a value that no raffle can have: it
// was written by hand, or damaged. Other raffles are not affected.
type UnreadableError struct {
	RaffleID int64
	Column   string
	Value    string // as text
}

func (e *UnreadableError) Error() string {
	return fmt.Sprintf("raffle %d can't be read: no raffle can have the %s that it has in the database, %s", e.RaffleID, e.Column, e.Value)
}

// NotFoundError means that there is no raffle with this id.
type NotFoundError struct{ RaffleID int64 }

func (e *NotFoundError) Error() string { return fmt.Sprintf("raffle %d does not exist", e.RaffleID) }

// NotOpenError means that the state of the raffle forbids the call.
type NotOpenError struct {
	RaffleID int64
	State    State
	OpensAt  time.Time
}

func (e *NotOpenError) Error() string {
	if e.State == Scheduled {
		return fmt.Sprintf("raffle %d is not open yet: it opens at %s",
			e.RaffleID, e.OpensAt.UTC().Format(time.RFC3339))
	}
	return fmt.Sprintf("raffle %d is not open: it is %s", e.RaffleID, e.State)
}

// EntryLimitError means that a member has as many entries as the raffle allows.
type EntryLimitError struct {
	RaffleID int64
	Max      int32
}

func (e *EntryLimitError) Error() string {
	return fmt.Sprintf("the member has made all entries that raffle %d allows: %d", e.RaffleID, e.Max)
}

// WithdrawalLimitError means that a member has withdrawn so many entries that it can't
// enter the raffle again.
type WithdrawalLimitError struct {
	RaffleID int64
	Max      int32 // withdrawals after which a member can still enter
}

func (e *WithdrawalLimitError) Error() string {
	return fmt.Sprintf("the member has withdrawn more than %d entries from raffle %d and can't enter it again", e.Max, e.RaffleID)
}
