package feed

import (
	"slices"
	"sync"

	"github.com/rafflecast/rafflecast/services/gateway/internal/odds"
)

// recent is how many updates are kept per raffle, so that a client that was
// away for a moment gets what it missed in order.
const recent = 16

// board holds the newest odds of every raffle, and a few before them.
type board struct {
	mu      sync.RWMutex
	raffles map[int64]*history
	ids     []int64 // ascending
	// epoch counts how often messages may have been missed.
	epoch int
}

// history is what is known of one raffle. All of it is of one epoch, so nothing
// was missed within it.
type history struct {
	epoch   int
	updates []*odds.Update // ascending versions, the newest last
	// recalled says that the stream has been asked for what was before them.
	recalled bool
}

func newBoard() *board { return &board{raffles: make(map[int64]*history)} }

// missed says that messages may have been missed, of any raffle. It returns the
// epoch that begins.
func (b *board) missed() (epoch int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.epoch++
	return b.epoch
}

// put adds an update that was heard, where it is newer than what is known, and
// tells whether it was. follows says that no message was missed before it.
func (b *board) put(u *odds.Update, follows bool) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	h := b.history(u.RaffleID)
	if n := h.newest(); n != nil && u.Version <= n.Version {
		return false
	}
	if h.epoch != b.epoch || !follows {
		h.epoch, h.updates, h.recalled = b.epoch, nil, false
	}
	// A new slice each time: readers keep the old one.
	first := max(0, len(h.updates)+1-recent)
	h.updates = append(slices.Clone(h.updates[first:]), u)
	return true
}

// confirm adds an update that a snapshot found to be the newest of its raffle,
// where it is newer than what is known, and tells whether it was. epoch is that
// in which the snapshot began. An update that was known already proves that
// nothing was missed up to it.
func (b *board) confirm(u *odds.Update, epoch int) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	h := b.history(u.RaffleID)
	n := h.newest()
	switch {
	case n == nil || u.Version > n.Version:
		h.epoch, h.updates, h.recalled = epoch, []*odds.Update{u}, false
		return true
	case u.Version == n.Version:
		h.epoch = max(h.epoch, epoch)
	}
	return false
}

// recall puts what the stream holds of a raffle before the updates that are
// known, where the two meet: else something may be missing between them.
func (b *board) recall(raffleID int64, stored []*odds.Update) {
	b.mu.Lock()
	defer b.mu.Unlock()
	h := b.raffles[raffleID]
	if h == nil {
		return
	}
	h.recalled = true
	first := h.updates[0].Version
	for i, u := range stored {
		if u.Version == first {
			h.updates = slices.Concat(stored[:i], h.updates)
		}
	}
}

// recalled tells whether there is nothing more to be had of a raffle.
func (b *board) recalled(raffleID int64) bool {
	b.mu.RLock()
	defer b.mu.RUnlock()
	h := b.raffles[raffleID]
	return h == nil || h.recalled
}

// history returns what is known of a raffle, which is new where nothing is.
func (b *board) history(raffleID int64) *history {
	h := b.raffles[raffleID]
	if h == nil {
		i, _ := slices.BinarySearch(b.ids, raffleID)
		b.ids = slices.Insert(b.ids, i, raffleID)
		h = &history{}
		b.raffles[raffleID] = h
	}
	return h
}

// newest returns nil for a raffle of which nothing is known yet.
func (h *history) newest() *odds.Update {
	if len(h.updates) == 0 {
		return nil
	}
	return h.updates[len(h.updates)-1]
}

// updates returns the recent updates of a raffle; none where it is not known.
func (b *board) updates(raffleID int64) []*odds.Update {
	b.mu.RLock()
	defer b.mu.RUnlock()
	if h := b.raffles[raffleID]; h != nil {
		return h.updates
	}
	return nil
}

// list returns up to limit newest updates that keep accepts, of raffles with
// ids above after, by ascending id.
func (b *board) list(after int64, limit int, keep func(*odds.Update) bool) []*odds.Update {
	b.mu.RLock()
	defer b.mu.RUnlock()
	var found []*odds.Update
	start, _ := slices.BinarySearch(b.ids, after+1)
	for _, id := range b.ids[start:] {
		if len(found) == limit {
			break
		}
		if u := b.raffles[id].newest(); keep(u) {
			found = append(found, u)
		}
	}
	return found
}

func (b *board) size() int {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return len(b.ids)
}
