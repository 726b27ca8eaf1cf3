package raffle

import "time"

// RequestID names a request, so that a repeat can be told; zero means none.
type RequestID [16]byte

// Entry is one chance of one member in one raffle.
type Entry struct {
	RaffleID  int64
	MemberID  string
	Ordinal   int32 // numbers the member's entries in the raffle, from 1
	RequestID RequestID
	CreatedAt time.Time
}

// EntryKey names an entry within its raffle.
type EntryKey struct {
	MemberID string
	Ordinal  int32
}

// MaxWithdrawn bounds how many entries a member may withdraw from a raffle and
// still enter it: all that a member ever had is read with its requests.
const MaxWithdrawn = 100

// EnterRequest asks for one entry.
type EnterRequest struct {
	RaffleID  int64
	MemberID  string
	RequestID RequestID
}

// EnterResult answers one EnterRequest: either Err, one of this package's
// errors, or the rest.
type EnterResult struct {
	Entry         Entry
	MemberEntries int32 // entries that the member has, with this one
	Repeat        bool  // an earlier request with the same id placed the entry
	Odds          Odds  // as of the commit that holds the entry or found it
	Err           error
}

// Standing is what a member has in a raffle.
type Standing struct {
	Entries int32 // entries that count
	Last    int32 // highest ordinal given
}

// Book admits entries to raffles that are locked against every other writer.
// Load it with what the store holds, call Enter for each request in the order
// of arrival, then store what Outcome returns and, once that is committed, hand
// out its results. Not safe for concurrent use.
type Book struct {
	now     time.Time
	raffles map[int64]*Raffle
	members map[memberKey]*Standing
	repeats map[repeatKey]Entry
	changed map[int64]bool
	placed  []Entry
	results []EnterResult
}

type memberKey struct {
	raffleID int64
	memberID string
}

type repeatKey struct {
	memberKey
	requestID RequestID
}

// NewBook returns a book of these raffles, with room for n requests, as of now,
// which is the time that decides whether they are open and that its entries bear.
func NewBook(now time.Time, raffles []Raffle, n int) *Book {
	b := &Book{
		now:     now,
		raffles: make(map[int64]*Raffle, len(raffles)),
		members: make(map[memberKey]*Standing, n),
		repeats: make(map[repeatKey]Entry, n),
		changed: make(map[int64]bool, len(raffles)),
		placed:  make([]Entry, 0, n),
		results: make([]EnterResult, 0, n),
	}
	for i := range raffles {
		b.raffles[raffles[i].ID] = &raffles[i]
	}
	return b
}

// Load tells what a member has; a member that has nothing need not be loaded.
func (b *Book) Load(raffleID int64, memberID string, s Standing) {
	b.members[memberKey{raffleID, memberID}] = &s
}

// LoadRepeat tells that the store holds the entry of a request with an id.
func (b *Book) LoadRepeat(e Entry) {
	b.repeats[repeatKey{memberKey{e.RaffleID, e.MemberID}, e.RequestID}] = e
}

// Enter decides on one request.
func (b *Book) Enter(req EnterRequest) {
	b.results = append(b.results, b.enter(req))
}

func (b *Book) enter(req EnterRequest) EnterResult {
	r, ok := b.raffles[req.RaffleID]
	if !ok {
		return EnterResult{Err: &NotFoundError{RaffleID: req.RaffleID}}
	}
	member := memberKey{req.RaffleID, req.MemberID}
	s := b.members[member]
	if s == nil {
		s = &Standing{}
		b.members[member] = s
	}
	if req.RequestID != (RequestID{}) {
		// A repeat is answered even after the raffle closed: the entry counts.
		if e, ok := b.repeats[repeatKey{member, req.RequestID}]; ok {
			return EnterResult{Entry: e, MemberEntries: s.Entries, Repeat: true}
		}
	}
	state := r.StateAt(b.now)
	if state != r.State {
		b.changed[r.ID] = true // its time has come
	}
	if state != Open {
		return EnterResult{Err: r.notOpen(state)}
	}
	switch {
	case s.Entries >= r.MaxEntriesPerMember:
		return EnterResult{Err: &EntryLimitError{RaffleID: r.ID, Max: r.MaxEntriesPerMember}}
	case s.Last >= r.MaxEntriesPerMember+MaxWithdrawn:
		return EnterResult{Err: &EntryLimitError{RaffleID: r.ID, Max: s.Last}}
	}
	return EnterResult{Entry: b.place(r, s, req), MemberEntries: s.Entries}
}

func (b *Book) place(r *Raffle, s *Standing, req EnterRequest) Entry {
	s.Entries++
	s.Last++
	r.Entries++
	if s.Entries == 1 {
		r.Members++
	}
	b.changed[r.ID] = true
	e := Entry{RaffleID: r.ID, MemberID: req.MemberID, Ordinal: s.Last, RequestID: req.RequestID, CreatedAt: b.now}
	if req.RequestID != (RequestID{}) {
		b.LoadRepeat(e)
	}
	b.placed = append(b.placed, e)
	return e
}

// Outcome is what a Book leads to.
type Outcome struct {
	Placed  []Entry       // entries to store
	Changed []Raffle      // raffles to store, each with one new version
	Results []EnterResult // answers to the Enter calls, in their order
}

// Outcome closes the book: each raffle that took entries, or whose time to open
// or close has come, gets one new version for all of it. Call it once, after the last Enter.
func (b *Book) Outcome() Outcome {
	out := Outcome{Placed: b.placed, Results: b.results}
	for id := range b.changed {
		r := b.raffles[id]
		r.State = r.StateAt(b.now)
		r.changed(b.now)
		out.Changed = append(out.Changed, *r)
	}
	for i := range out.Results {
		if res := &out.Results[i]; res.Err == nil {
			res.Odds = b.raffles[res.Entry.RaffleID].Odds()
		}
	}
	return out
}
