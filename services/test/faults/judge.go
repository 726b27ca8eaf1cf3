package faults

import (
	"fmt"
	"maps"
	"slices"
	"time"
)

// row is an entry as the database holds it.
type row struct {
	requestID string
	raffleID  int64
	member    string
	ordinal   int32
	createdAt time.Time
	withdrawn bool
}

// ruled is a raffle as the database holds it, with its rules.
type ruled struct {
	odds
	perMember int64
	closesAt  time.Time // zero: never
}

// judgeEntries compares what callers were told with the database's rows.
func (f *Findings) judgeEntries(sent map[string]*entry, rows []row) {
	stored := make(map[string]row)
	for _, r := range rows {
		if _, again := stored[r.requestID]; again {
			f.Doubled = append(f.Doubled, "request "+r.requestID+" has two rows")
		}
		stored[r.requestID] = r
		if sent[r.requestID] == nil {
			f.Doubled = append(f.Doubled, "request "+r.requestID+" is stored, and nobody sent it")
		}
	}
	f.Acknowledged = 0
	for _, id := range slices.Sorted(maps.Keys(sent)) {
		e := sent[id]
		r, ok := stored[id]
		if e.ordinal > 0 {
			f.Acknowledged++
		}
		switch {
		case e.contradicted:
			f.Doubled = append(f.Doubled, "request "+id+" was answered with two entries")
		case e.ordinal > 0 && (!ok || r.ordinal != e.ordinal || r.raffleID != e.raffleID || r.member != e.member):
			f.Lost = append(f.Lost, fmt.Sprintf("request %s of raffle %d is not stored as entry %d", id, e.raffleID, e.ordinal))
		case e.withdrawn && !r.withdrawn:
			f.Lost = append(f.Lost, "the withdrawal of request "+id+" is not stored")
		case e.refused != "" && ok:
			f.Doubled = append(f.Doubled, "request "+id+" was refused ("+e.refused+") and is stored")
		}
	}
}

// judgeRaffles compares each raffle's counters and rules with its rows.
func (f *Findings) judgeRaffles(raffles map[int64]ruled, rows []row) {
	type seat struct {
		raffleID int64
		member   string
	}
	entries, members := make(map[int64]int64), make(map[int64]int64)
	held := make(map[seat]int64)
	for _, r := range rows {
		rule, known := raffles[r.raffleID]
		if !known {
			f.Doubled = append(f.Doubled, fmt.Sprintf("request %s is stored for raffle %d, which does not exist", r.requestID, r.raffleID))
			continue
		}
		if !rule.closesAt.IsZero() && !r.createdAt.Before(rule.closesAt) {
			f.Doubled = append(f.Doubled, fmt.Sprintf("request %s entered raffle %d at %v, which closed at %v", r.requestID, r.raffleID, r.createdAt, rule.closesAt))
		}
		if r.withdrawn {
			continue
		}
		s := seat{r.raffleID, r.member}
		if held[s] == 0 {
			members[r.raffleID]++
		}
		held[s]++
		entries[r.raffleID]++
		if held[s] == rule.perMember+1 {
			f.Doubled = append(f.Doubled, fmt.Sprintf("a member has more than %d entries in raffle %d", rule.perMember, r.raffleID))
		}
	}
	for _, id := range slices.Sorted(maps.Keys(raffles)) {
		if r := raffles[id]; r.Entries != entries[id] || r.Members != members[id] {
			f.Doubled = append(f.Doubled, fmt.Sprintf("raffle %d counts %d entries of %d members; its rows are %d of %d", id, r.Entries, r.Members, entries[id], members[id]))
		}
	}
}

// judgeList compares what a gateway lists with the database. It returns raffles
// that are shown and do not exist so, and those that are not shown.
func judgeList(listed []odds, want map[int64]odds) (ghosts, missing []string) {
	shown := make(map[int64]bool)
	for _, o := range listed {
		shown[o.ID] = true
		if o != want[o.ID] {
			ghosts = append(ghosts, fmt.Sprintf("raffle %d is shown as %v; the database has %v", o.ID, o, want[o.ID]))
		}
	}
	for _, id := range slices.Sorted(maps.Keys(want)) {
		if !shown[id] {
			missing = append(missing, fmt.Sprintf("raffle %d is not listed", id))
		}
	}
	return ghosts, missing
}
