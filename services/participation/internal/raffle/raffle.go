// Package raffle is the domain: raffles, entries, states, odds, and the rules
// that connect them. It knows neither wire formats nor databases, and it imports
// the standard library and services/draw only.
package raffle

import (
	"slices"
	"time"

	"github.com/rafflecast/rafflecast/services/draw"
)

// State is the stage of a raffle's life. Its numbers are stored in the database,
// and they equal those of raffle.v1.Raffle.State.
type State int16

// The states. A raffle starts as Scheduled or Open. From Closed on no entry is taken.
const (
	Scheduled State = 1
	Open      State = 2
	Closed    State = 3
	Cancelled State = 4
	Drawn     State = 5
)

// Ended reports whether entries are no longer taken.
func (s State) Ended() bool { return s >= Closed }

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

// Visibility is who may watch the odds of a raffle. Its numbers are stored in the
// database, and they equal those of raffle.v1.Raffle.Visibility.
type Visibility int16

// Who may watch: everybody, or who brings a token.
const (
	Public  Visibility = 1
	Members Visibility = 2
)

// Raffle is one version of a raffle.
type Raffle struct {
	ID                  int64
	Epoch               string // random, and made with the raffle: another one with this id has another epoch
	Title               string
	Winners             int32     // number of entries that will win, at least 1
	MaxEntriesPerMember int32     // at least 1
	OpensAt             time.Time // zero: it is open from its creation
	ClosesAt            time.Time // zero: it stays open until a call closes it
	State               State
	EntryCount          int64
	MemberCount         int64 // members with at least one entry
	Version             int64 // grows with every change, from 1
	CreatedAt           time.Time
	UpdatedAt           time.Time // when this version was made
	Visibility          Visibility
	Rule                Rule
	Details             *Details // nil: it has none
	Holders             *Holders // nil unless the rule is MemberWinsOnce
	Log                 *Log     // nil: it has none, and the service does not draw it
}

// Clone returns a copy of the raffle for a transaction that changes it. What no transaction
// changes is shared.
func (r *Raffle) Clone() Raffle {
	next := *r
	if r.Log != nil {
		log := *r.Log
		log.Tree.Peaks = slices.Clone(log.Tree.Peaks)
		next.Log = &log
	}
	if r.Holders != nil {
		next.Holders = NewHolders(slices.Clone(r.Holders.counts))
	}
	return next
}

// Final reports whether the odds can no longer change: the raffle is cancelled or drawn,
// or it is closed and no draw lies ahead.
func (r *Raffle) Final() bool {
	return r.State == Cancelled || r.State == Drawn || r.State == Closed && !r.Log.DrawAhead()
}

// StateAt returns the state that the raffle has at a time if no call changes it:
// a raffle opens at OpensAt and closes at ClosesAt, even if the database learns of
// it later. A raffle that is open stays open until it closes, even if the clock steps
// back to a time before OpensAt.
func (r *Raffle) StateAt(now time.Time) State {
	switch {
	case r.State.Ended():
		return r.State
	case !r.ClosesAt.IsZero() && !now.Before(r.ClosesAt):
		return Closed
	case r.State != Open && now.Before(r.OpensAt):
		return Scheduled
	}
	return Open
}

// bumpVersion turns r into its next version.
func (r *Raffle) bumpVersion(now time.Time) {
	r.Version++
	r.UpdatedAt = now
}

// ApplySchedule opens or closes the raffle if the time for that has come, and
// reports whether it did. It fails as Close does.
func (r *Raffle) ApplySchedule(now time.Time, draws *Draws) (bool, error) {
	state := r.StateAt(now)
	if state == r.State {
		return false, nil
	}
	return true, r.enter(state, now, draws)
}

// enter puts the raffle into another state. A call that fails changes nothing.
func (r *Raffle) enter(state State, now time.Time, draws *Draws) error {
	if state == Closed {
		if err := r.closeLog(now, draws); err != nil {
			return err
		}
	}
	r.State = state
	r.bumpVersion(now)
	return nil
}

// Close closes the raffle. It fails with *NotOpenError if it has ended already, and with
// ErrDrawsOff, *ChainUnknownError or *ClockSkewError if its draw can't be fixed.
func (r *Raffle) Close(now time.Time, draws *Draws) error {
	if state := r.StateAt(now); state.Ended() {
		return r.notOpen(state)
	}
	return r.enter(Closed, now, draws)
}

// Cancel calls the raffle off. It fails with *NotOpenError if it has ended already.
func (r *Raffle) Cancel(now time.Time) error {
	if state := r.StateAt(now); state.Ended() {
		return r.notOpen(state)
	}
	if r.Log != nil {
		if err := r.Log.appendEncoded(draw.Cancel{At: draw.TimeOf(now)}); err != nil {
			return err
		}
	}
	return r.enter(Cancelled, now, nil)
}

// CheckTimes checks that the raffle is open at some time after now. It fails with
// *TimesOutOfOrderError or *TimePassedError.
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

// Change names new values for fields of a raffle. A nil field stays as it is; a
// zero time removes the time.
type Change struct {
	Title   *string
	Winners *int32
	// MaxEntriesPerMember cannot change: the only value that is accepted is the one
	// that the raffle has.
	MaxEntriesPerMember *int32
	Visibility          *Visibility `json:",omitempty"` // likewise; the hash of a request without it stays as it was
	OpensAt             *time.Time
	ClosesAt            *time.Time
	Description         *string
	PictureURL          *string
	Prizes              *[]Prize // empty: the winners become alike
	// These cannot change either.
	Rule       *Rule
	Alternates *int32
	Draw       *DrawOptions
}

// Update changes the raffle. It fails with *NotOpenError if the state is final,
// and with *ImmutableError, *TimesOutOfOrderError or *TimePassedError if the raffle
// cannot have the new values. A call that fails changes nothing.
func (r *Raffle) Update(c Change, now time.Time) error {
	state := r.StateAt(now)
	if state.Ended() {
		return r.notOpen(state)
	}
	next := *r
	if c.Title != nil {
		next.Title = *c.Title
	}
	if err := r.checkImmutable(&c); err != nil {
		return err
	}
	if v := c.Visibility; v != nil && *v != r.Visibility {
		return &ImmutableError{RaffleID: r.ID, Field: "visibility"}
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
	if err := next.describe(&c); err != nil {
		return err
	}
	if err := next.CheckTimes(now); err != nil {
		return err
	}
	if err := next.logRules(r); err != nil {
		return err
	}
	next.State = next.StateAt(now)
	next.bumpVersion(now)
	*r = next
	return nil
}

// checkImmutable refuses other values for what cannot change.
func (r *Raffle) checkImmutable(c *Change) error {
	var field string
	switch {
	case c.MaxEntriesPerMember != nil && *c.MaxEntriesPerMember != r.MaxEntriesPerMember:
		field = "max_entries_per_member"
	case c.Rule != nil && *c.Rule != r.Rule:
		field = "rule"
	case c.Alternates != nil && *c.Alternates != r.alternates():
		field = "alternates"
	case c.Draw != nil && !r.Log.madeWith(*c.Draw):
		field = "draw"
	default:
		return nil
	}
	return &ImmutableError{RaffleID: r.ID, Field: field}
}

// describe changes the details of r, and its winners with its prizes.
func (r *Raffle) describe(c *Change) error {
	if c.Winners != nil {
		r.Winners = *c.Winners
	}
	details := *r.About()
	if c.Description != nil {
		details.Description = *c.Description
	}
	if c.PictureURL != nil {
		details.PictureURL = *c.PictureURL
	}
	if c.Prizes != nil {
		details.Prizes = *c.Prizes
	}
	if len(details.Prizes) > 0 {
		sum := places(details.Prizes)
		switch {
		case sum > MaxWinners:
			return &PrizesError{Places: sum}
		case c.Winners != nil && *c.Winners != sum:
			return &WinnersError{Winners: *c.Winners, Places: sum}
		}
		r.Winners = sum
	}
	if !details.equal(r.About()) {
		r.Details = &details
	}
	return nil
}

func (r *Raffle) notOpen(state State) *NotOpenError {
	return &NotOpenError{RaffleID: r.ID, State: state, OpensAt: r.OpensAt}
}

// WinnerProbability returns the chance in percent that one entry wins. If each entry can
// win, that is 100 * min(1, winners / entries): the winners are drawn from all entries,
// each of which is equally likely. If a member wins at most once, it is the average over
// the entries, 100 * min(winners, members) / entries. It returns false if there is no
// entry yet.
func (r *Raffle) WinnerProbability() (float64, bool) {
	return r.percent(r.EntryCount, r.MemberCount)
}

// NextEntryProbability returns the winner probability that the raffle will have
// with one more entry, of another member, and false unless the raffle is open.
func (r *Raffle) NextEntryProbability() (float64, bool) {
	if r.State != Open {
		return 0, false
	}
	return r.percent(r.EntryCount+1, r.MemberCount+1)
}

func (r *Raffle) percent(entries, members int64) (float64, bool) {
	if entries <= 0 {
		return 0, false
	}
	winners := int64(r.Winners)
	if r.Rule == MemberWinsOnce {
		winners = min(winners, members)
	}
	return min(100, 100*float64(winners)/float64(entries)), true
}
