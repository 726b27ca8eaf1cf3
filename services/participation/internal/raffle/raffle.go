// Package raffle is the domain: raffles, entries, states, odds and the rules
// between them. It knows neither wire formats nor stores, and imports the
// standard library only.
package raffle

import "time"

// State is where a raffle stands in its life. Its numbers are stored, and are
// those of raffle.v1.RaffleState.
type State int16

// The states. A raffle begins as Scheduled or Open; Closed, Cancelled and Drawn
// are final.
const (
	Scheduled State = 1
	Open      State = 2
	Closed    State = 3
	Cancelled State = 4
	Drawn     State = 5
)

// Final tells whether no change of the odds can follow.
func (s State) Final() bool { return s >= Closed }

// String returns the state's name as users see it.
func (s State) String() string {
	switch s {
	case Scheduled:
		return "SCHEDULED"
	case Open:
		return "OPEN"
	case Closed:
		return "CLOSED"
	case Cancelled:
		return "CANCELLED"
	case Drawn:
		return "DRAWN"
	}
	return "UNSPECIFIED"
}

// Raffle is a set of entries of which some will win, as of one version.
type Raffle struct {
	ID                  int64
	Title               string
	Winners             int32     // entries that will win, at least 1
	MaxEntriesPerMember int32     // at least 1
	OpensAt             time.Time // zero: from the beginning
	ClosesAt            time.Time // zero: not before a call closes it
	State               State
	Entries             int64
	Members             int64 // members that have at least one entry
	Version             int64 // counts the changes, from 1
	CreatedAt           time.Time
	UpdatedAt           time.Time // when this version was made
}

// StateAt returns the state that the clock alone leads to: a raffle opens at
// OpensAt and closes at ClosesAt, whenever somebody comes to write it down.
func (r *Raffle) StateAt(now time.Time) State {
	switch {
	case r.State.Final():
		return r.State
	case !r.ClosesAt.IsZero() && !now.Before(r.ClosesAt):
		return Closed
	case now.Before(r.OpensAt):
		return Scheduled
	}
	return Open
}

// changed makes a new version.
func (r *Raffle) changed(now time.Time) {
	r.Version++
	r.UpdatedAt = now
}

// Advance moves the raffle to the state that the clock leads to, and tells
// whether that was a change.
func (r *Raffle) Advance(now time.Time) bool {
	state := r.StateAt(now)
	if state == r.State {
		return false
	}
	r.State = state
	r.changed(now)
	return true
}

// Close ends the taking of entries. It fails with *NotOpenError where that, or
// more, has happened already.
func (r *Raffle) Close(now time.Time) error {
	if state := r.StateAt(now); state.Final() {
		return r.notOpen(state)
	}
	r.State = Closed
	r.changed(now)
	return nil
}

// Cancel calls the raffle off. It fails with *NotOpenError where it is final.
func (r *Raffle) Cancel(now time.Time) error {
	if state := r.StateAt(now); state.Final() {
		return r.notOpen(state)
	}
	r.State = Cancelled
	r.changed(now)
	return nil
}

// CheckTimes tells whether the raffle can take entries at some time from now on.
// It fails with *TimesOutOfOrderError or *TimePassedError.
func (r *Raffle) CheckTimes(now time.Time) error {
	switch {
	case r.ClosesAt.IsZero():
	case !r.ClosesAt.After(r.OpensAt):
		return &TimesOutOfOrderError{OpensAt: r.OpensAt, ClosesAt: r.ClosesAt}
	case !r.ClosesAt.After(now):
		return &TimePassedError{Field: "closes_at", Time: r.ClosesAt}
	}
	return nil
}

// Change says what to change of a raffle; nil leaves a part as it is, and a
// zero time removes one.
type Change struct {
	Title   *string
	Winners *int32
	// MaxEntriesPerMember never changes: an update may only name the value that
	// the raffle has.
	MaxEntriesPerMember *int32
	OpensAt             *time.Time
	ClosesAt            *time.Time
}

// Update changes a raffle. It fails with *NotOpenError where the raffle is final,
// and with *ImmutableError, *TimesOutOfOrderError or *TimePassedError if the
// change does not fit it.
func (r *Raffle) Update(c Change, now time.Time) error {
	state := r.StateAt(now)
	if state.Final() {
		return r.notOpen(state)
	}
	next := *r
	if c.Title != nil {
		next.Title = *c.Title
	}
	if c.Winners != nil {
		next.Winners = *c.Winners
	}
	if m := c.MaxEntriesPerMember; m != nil && *m != r.MaxEntriesPerMember {
		return &ImmutableError{RaffleID: r.ID, Field: "max_entries_per_member"}
	}
	if c.OpensAt != nil {
		next.OpensAt = *c.OpensAt
	}
	if c.ClosesAt != nil {
		next.ClosesAt = *c.ClosesAt
	}
	if state == Open && !next.OpensAt.Equal(r.OpensAt) {
		return &ImmutableError{RaffleID: r.ID, Field: "opens_at", State: state}
	}
	if err := next.CheckTimes(now); err != nil {
		return err
	}
	next.State = next.StateAt(now)
	next.changed(now)
	*r = next
	return nil
}

func (r *Raffle) notOpen(state State) *NotOpenError {
	return &NotOpenError{RaffleID: r.ID, State: state, OpensAt: r.OpensAt}
}
