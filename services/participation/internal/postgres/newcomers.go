package postgres

import (
	"sync"

	"github.com/rafflecast/rafflecast/services/participation/internal/raffle"
)

const (
	// expectedAfter is how many entries in a row must have been the first of their members
	// before those of a raffle are expected to be so. A wrong expectation costs one batch
	// that is rolled back.
	expectedAfter = 10_000
	// maxCounted bounds the raffles that newcomers counts entries of.
	maxCounted = 1000
)

// newcomers says of which raffles the members need not be read: those which members enter
// for the first time, as far as this instance has seen. Their entries are inserted
// optimistically, as those of members who have none, and the primary key refuses them if
// that is wrong. Then the members are read. So what it says is about speed, and never about
// what is true.
//
// It is safe for concurrent use.
type newcomers struct {
	mu  sync.Mutex
	run map[int64]int // entries in a row that were the first of their members, by raffle
}

// expected returns the raffles of requests whose members need not be read.
func (n *newcomers) expected(reqs []raffle.EnterRequest) map[int64]bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	expected := make(map[int64]bool)
	for i := range reqs {
		if id := reqs[i].RaffleID; n.run[id] >= expectedAfter {
			expected[id] = true
		}
	}
	return expected
}

// observe counts entries that were placed. In the raffles that are known, some of the
// members had entries.
func (n *newcomers) observe(placed []raffle.Entry, known map[int64]bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.run == nil || len(n.run) > maxCounted {
		n.run = make(map[int64]int)
	}
	for i := range placed {
		n.run[placed[i].RaffleID]++
	}
	for id := range known {
		delete(n.run, id)
	}
}

// forget is called if the members of requests must be read after all.
func (n *newcomers) forget(reqs []raffle.EnterRequest) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for i := range reqs {
		delete(n.run, reqs[i].RaffleID)
	}
}

// refusesUnread reports whether a request for an unread raffle is refused. What its member
// has may change that: a request that comes again is answered, whatever the rules say now.
func refusesUnread(results []raffle.EnterResult, reqs []raffle.EnterRequest, unread map[int64]bool) bool {
	if len(unread) == 0 {
		return false
	}
	for i := range results {
		if results[i].Err != nil && unread[reqs[i].RaffleID] {
			return true
		}
	}
	return false
}
