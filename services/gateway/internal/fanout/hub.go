// Package fanout brings each raffle's newest odds to everyone who watches it.
//
// # Concurrency
//
// All methods of Hub are safe for concurrent use. A Subscription belongs to one
// goroutine, but for C.
//
// # Invariants
//
//   - A publish never waits for a subscriber. Each subscription has one slot per
//     raffle, which newer odds take over: memory is bounded however slow it is.
//   - A subscription sees versions of a raffle rise, and each at most once.
//   - Updates of one raffle go out at least the spacing apart; the first at once,
//     and the last always.
package fanout

import (
	"slices"
	"sync"
	"time"

	"github.com/rafflecast/rafflecast/services/gateway/internal/odds"
)

// Hub knows who watches which raffle. Make it with NewHub.
type Hub struct {
	spacing time.Duration
	mu      sync.Mutex
	topics  map[int64]*topic
}

// topic is a raffle that somebody watches.
type topic struct {
	mu       sync.Mutex
	watchers map[*Subscription]struct{}
	sent     time.Time    // when an update last went out
	held     *odds.Update // waits for the spacing to pass, or nil
}

// NewHub returns a hub that keeps updates of one raffle at least spacing apart.
func NewHub(spacing time.Duration) *Hub {
	return &Hub{spacing: spacing, topics: make(map[int64]*topic)}
}

// Publish hands an update to all who watch its raffle, at once or when the
// spacing has passed; by then a newer one may have taken its place. The caller
// publishes a raffle's updates one at a time, in the order of their versions.
func (h *Hub) Publish(u *odds.Update) {
	h.mu.Lock()
	t := h.topics[u.RaffleID]
	h.mu.Unlock()
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.held != nil {
		t.held = u
		return
	}
	wait := h.spacing - time.Since(t.sent)
	if wait <= 0 {
		t.send(u)
		return
	}
	t.held = u
	time.AfterFunc(wait, t.release)
}

func (t *topic) release() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.send(t.held)
	t.held = nil
}

func (t *topic) send(u *odds.Update) {
	t.sent = time.Now()
	for s := range t.watchers {
		s.offer(u)
	}
}

// Subscription is one connection's view of the raffles that it watches.
type Subscription struct {
	// C holds a value when Take has something.
	C       chan struct{}
	hub     *Hub
	ids     []int64
	mu      sync.Mutex
	pending map[int64]*odds.Update
}

// Subscribe watches raffles from now on. Close the subscription after use.
func (h *Hub) Subscribe(raffleIDs ...int64) *Subscription {
	s := &Subscription{C: make(chan struct{}, 1), hub: h, ids: raffleIDs, pending: make(map[int64]*odds.Update)}
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, id := range raffleIDs {
		t := h.topics[id]
		if t == nil {
			t = &topic{watchers: make(map[*Subscription]struct{})}
			h.topics[id] = t
		}
		t.mu.Lock()
		t.watchers[s] = struct{}{}
		t.mu.Unlock()
	}
	return s
}

// offer puts an update into its raffle's slot.
func (s *Subscription) offer(u *odds.Update) {
	s.mu.Lock()
	s.pending[u.RaffleID] = u
	s.mu.Unlock()
	select {
	case s.C <- struct{}{}:
	default:
	}
}

// Take empties the slots and returns what was in them, by raffle id.
func (s *Subscription) Take() []*odds.Update {
	s.mu.Lock()
	defer s.mu.Unlock()
	taken := make([]*odds.Update, 0, len(s.pending))
	for _, u := range s.pending {
		taken = append(taken, u)
	}
	clear(s.pending)
	slices.SortFunc(taken, func(a, b *odds.Update) int { return int(min(1, max(-1, a.RaffleID-b.RaffleID))) })
	return taken
}

// Close ends the subscription.
func (s *Subscription) Close() {
	s.hub.mu.Lock()
	defer s.hub.mu.Unlock()
	for _, id := range s.ids {
		t := s.hub.topics[id]
		if t == nil {
			continue // closed before
		}
		t.mu.Lock()
		delete(t.watchers, s)
		if len(t.watchers) == 0 {
			delete(s.hub.topics, id)
		}
		t.mu.Unlock()
	}
}
