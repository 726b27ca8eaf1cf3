package faults

import (
	"maps"
	"slices"

	"github.com/google/uuid"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
)

// entry is a request to enter, and what came of it.
type entry struct {
	raffleID     int64
	member       string
	requestID    string
	ordinal      int32 // of the acknowledged entry; 0: not acknowledged
	withdrawID   string
	withdrawn    bool   // acknowledged
	contradicted bool   // two answers name different entries
	refused      string // why it was refused for good, by the rules of its raffle
	gone         bool   // a restore may have taken it away
}

// add returns a new request for a raffle and a member.
func (c *callers) add(raffleID int64, member string) *entry {
	e := &entry{raffleID: raffleID, member: member, requestID: uuid.NewString()}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.entries[e.requestID] = e
	return e
}

func (c *callers) acknowledge(e *entry, got *rafflev1.Entry) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e.ordinal != 0 && e.ordinal != got.GetOrdinal() {
		e.contradicted = true
	}
	e.ordinal = got.GetOrdinal()
	c.acknowledged++
}

// answers returns how many entries were acknowledged so far.
func (c *callers) answers() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.acknowledged
}

// rules returns the reason for which e may be refused for good, or "".
func (c *callers) rules(e *entry) string {
	switch e.raffleID {
	case c.short:
		return "RAFFLE_NOT_OPEN"
	case c.ids[raffles-1]:
		return "ENTRY_LIMIT_REACHED"
	}
	return ""
}

func (e *entry) request() *rafflev1.EnterRequest {
	return &rafflev1.EnterRequest{RaffleId: e.raffleID, MemberId: e.member, RequestId: e.requestID}
}

// pick returns an acknowledged entry that nobody withdraws yet, or nil, and its
// ordinal.
func (c *callers) pick() (*entry, int32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for e := range maps.Values(c.entries) {
		// Who withdraws from the limited raffle may enter again: that would make the
		// refusal of an entry a matter of time. And one that has closed keeps its entries.
		if e.ordinal > 0 && e.withdrawID == "" && slices.Contains(c.ids[:raffles-1], e.raffleID) {
			e.withdrawID = uuid.NewString()
			return e, e.ordinal
		}
	}
	return nil, 0
}

// record returns a copy of all requests as they are now.
func (c *callers) record() map[string]entry {
	c.mu.Lock()
	defer c.mu.Unlock()
	kept := make(map[string]entry, len(c.entries))
	for id, e := range c.entries {
		kept[id] = *e
	}
	return kept
}

// restored takes the record back to that of a dump. What was under way when the
// dump was taken may or may not be in it.
func (c *callers) restored(kept map[string]entry) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for id, e := range c.entries {
		before, ok := kept[id]
		if !ok || before.ordinal == 0 {
			// Acknowledged after the dump, or not at all: its row may be missing.
			e.ordinal, e.withdrawn, e.gone = 0, false, true
			continue
		}
		if e.withdrawn && !before.withdrawn {
			e.withdrawn = false
		}
	}
}
