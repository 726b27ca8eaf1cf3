package raffle

import (
	"time"

	"github.com/rafflecast/rafflecast/services/draw"
)

// MemberState is what a member has in a raffle.
type MemberState struct {
	EntryCount  int32 // entries that were not withdrawn
	LastOrdinal int32 // highest ordinal that was given; 0 if none was
}

// Admission decides which requests of a batch become entries. Its raffles are
// locked against every other writer, so that what it was loaded with stays true
// until the commit.
//
// Load it with what the database holds of the batch's members, call Decide once,
// store what that returns and, after the commit, hand out the results. An
// Admission is not safe for concurrent use.
type Admission struct {
	now      time.Time
	raffles  map[int64]*Raffle
	keys     map[int64]*LogKey // of raffles with a log
	refused  map[int64]error   // why requests for a raffle can't be decided, by its id
	members  map[memberKey]*batchMember
	states   []batchMember       // room for those of members
	replayed map[replayKey]Entry // what earlier requests have placed
	changed  map[int64]bool
	placed   []Entry
	indexed  int // how many of placed are in replayed
}

// batchMember is a member of a batch.
type batchMember struct {
	MemberState

	again bool // has an entry that was placed in this batch
}

type memberKey struct {
	raffleID int64
	memberID string
}

type replayKey struct {
	memberKey
	requestID RequestID
}

// NewAdmission returns an admission to these raffles, with room for n requests.
// now decides whether the raffles are open, and becomes the time of the entries.
func NewAdmission(now time.Time, raffles []Raffle, n int) *Admission {
	a := &Admission{
		now:      now,
		raffles:  make(map[int64]*Raffle, len(raffles)),
		members:  make(map[memberKey]*batchMember, n),
		states:   make([]batchMember, 0, n),
		replayed: make(map[replayKey]Entry),
		changed:  make(map[int64]bool, len(raffles)),
		placed:   make([]Entry, 0, n),
	}
	for i := range raffles {
		a.raffles[raffles[i].ID] = &raffles[i]
	}
	return a
}

// Refuse makes all requests for a raffle fail with err.
func (a *Admission) Refuse(raffleID int64, err error) {
	if a.refused == nil {
		a.refused = make(map[int64]error)
	}
	a.refused[raffleID] = err
}

// LoadKey sets the key of a raffle's log. Without it, only requests whose tags were made
// before can become entries.
func (a *Admission) LoadKey(key *LogKey) {
	if a.keys == nil {
		a.keys = make(map[int64]*LogKey)
	}
	a.keys[key.RaffleID] = key
}

// LoadMember sets what a member has. Members that have nothing may be left out.
func (a *Admission) LoadMember(raffleID int64, memberID string, state MemberState) {
	a.member(memberKey{raffleID, memberID}).MemberState = state
}

// member returns what a member has, which is nothing unless it was loaded or placed.
func (a *Admission) member(key memberKey) *batchMember {
	m := a.members[key]
	if m == nil {
		a.states = append(a.states, batchMember{})
		m = &a.states[len(a.states)-1] // stays the member's if states moves on to a larger array
		a.members[key] = m
	}
	return m
}

// LoadEntry adds an entry that an earlier request placed: a request with the same
// id and member is answered with it.
func (a *Admission) LoadEntry(e Entry) {
	a.replayed[replayKey{memberKey{e.RaffleID, e.MemberID}, e.RequestID}] = e
}

// Decision is what an Admission decides on a batch.
type Decision struct {
	Placed  []Entry       // entries to store
	Changed []Raffle      // raffles to store, each with one new version
	Results []EnterResult // one per request, in the order of the requests
}

// SetTime sets the time of a decision by an Admission that was made without one.
func (d *Decision) SetTime(at time.Time) {
	for i := range d.Placed {
		d.Placed[i].CreatedAt = at
	}
	for i := range d.Changed {
		d.Changed[i].UpdatedAt = at
	}
	for i := range d.Results {
		if res := &d.Results[i]; res.Err == nil {
			res.Entry.CreatedAt, res.Raffle.UpdatedAt = at, at
		}
	}
}

// Decide decides on the requests in their order. Each raffle that took entries,
// or that opens or closes at this time, gets one new version for all of it. But a raffle
// with a log is closed by the scheduler. Call it once.
func (a *Admission) Decide(reqs []EnterRequest) Decision {
	d := Decision{Results: make([]EnterResult, len(reqs))}
	for i := range reqs {
		d.Results[i] = a.decide(&reqs[i])
	}
	d.Placed = a.placed
	for id := range a.changed {
		r := a.raffles[id]
		state := r.StateAt(a.now)
		if state == Closed && r.Log != nil {
			continue // its close is signed, which the scheduler does
		}
		if err := r.enter(state, a.now, nil); err != nil {
			continue // it never fails for other states
		}
		d.Changed = append(d.Changed, *r)
	}
	for i := range d.Results {
		if res := &d.Results[i]; res.Err == nil {
			res.Raffle = a.raffles[res.Entry.RaffleID]
		}
	}
	return d
}

func (a *Admission) decide(req *EnterRequest) EnterResult {
	r, ok := a.raffles[req.RaffleID]
	if err := a.refused[req.RaffleID]; err != nil {
		return EnterResult{Err: err}
	}
	if !ok {
		return EnterResult{Err: &NotFoundError{RaffleID: req.RaffleID}}
	}
	key := memberKey{req.RaffleID, req.MemberID}
	member := a.member(key)
	if req.RequestID != (RequestID{}) && member.LastOrdinal > 0 {
		// This comes before the state of the raffle: the entry exists, whatever has
		// happened since.
		if e, ok := a.earlier(member, replayKey{key, req.RequestID}); ok {
			return EnterResult{Entry: e, MemberEntries: member.EntryCount, Replayed: true, Opening: a.tag(r, req).Opening}
		}
	}
	state := r.StateAt(a.now)
	if state != r.State {
		a.changed[r.ID] = true // the time to open or close has come
	}
	if state != Open {
		return EnterResult{Err: r.notOpen(state)}
	}
	switch {
	case member.EntryCount >= r.MaxEntriesPerMember:
		return EnterResult{Err: &EntryLimitError{RaffleID: r.ID, Max: r.MaxEntriesPerMember}}
	case member.LastOrdinal >= r.MaxEntriesPerMember+MaxWithdrawn:
		return EnterResult{Err: &WithdrawalLimitError{RaffleID: r.ID, Max: MaxWithdrawn}}
	}
	tag := a.tag(r, req)
	if r.Log != nil && tag == (Tag{}) {
		return EnterResult{Err: ErrKeyMissing}
	}
	return EnterResult{Entry: a.place(r, member, req, tag.Tag), MemberEntries: member.EntryCount, Opening: tag.Opening}
}

// HasStaleTags reports whether a request has a tag that is not of its raffle as it is now.
func (a *Admission) HasStaleTags(reqs []EnterRequest) bool {
	for i := range reqs {
		r := a.raffles[reqs[i].RaffleID]
		if key := reqs[i].Tag.Key; r != nil && key != nil && !key.fits(r) {
			return true
		}
	}
	return false
}

// tag returns the tag of the member of a request, or the zero tag if the raffle has no
// log, or no key.
func (a *Admission) tag(r *Raffle, req *EnterRequest) Tag {
	if r.Log == nil {
		return Tag{}
	}
	if req.Tag.Key.fits(r) {
		return req.Tag
	}
	if key := a.keys[r.ID]; key.fits(r) && key.Openings != nil {
		return key.Tag(req.MemberID)
	}
	return Tag{}
}

// earlier returns the entry that an earlier request with the same id has placed. What was
// placed in this batch is looked at only once one of its members comes again.
func (a *Admission) earlier(member *batchMember, key replayKey) (Entry, bool) {
	if member.again {
		for _, e := range a.placed[a.indexed:] {
			if e.RequestID != (RequestID{}) {
				a.LoadEntry(e)
			}
		}
		a.indexed = len(a.placed)
	}
	e, ok := a.replayed[key]
	return e, ok
}

func (a *Admission) place(r *Raffle, member *batchMember, req *EnterRequest, tag draw.Tag) Entry {
	r.Holders.move(member.EntryCount, member.EntryCount+1)
	member.EntryCount++
	member.LastOrdinal++
	r.EntryCount++
	if member.EntryCount == 1 {
		r.MemberCount++
	}
	a.changed[r.ID] = true
	e := Entry{
		RaffleID: r.ID, MemberID: req.MemberID, Ordinal: member.LastOrdinal,
		RequestID: req.RequestID, CreatedAt: a.now,
	}
	if r.Log != nil {
		e.Ticket = r.Log.appendEntry(e.Ordinal, tag)
	}
	a.placed, member.again = append(a.placed, e), true
	return e
}
