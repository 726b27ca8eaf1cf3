package fanout

import "github.com/rafflecast/rafflecast/services/gateway/internal/odds"

// conflation decides which of a raffle's updates are sent, and when: the first at
// once, then at most one per conflation interval, which is the newest.
type conflation struct {
	current *odds.Update // newest that may be sent
	pending *odds.Update // newer than current; waits for the end of the interval
	// throttled means that current was released less than an interval ago.
	throttled bool
}

// offer takes an update and reports whether it is released: it has become current
// and is sent now.
func (c *conflation) offer(u *odds.Update) bool {
	switch {
	case c.current != nil && !isNewer(u, c.current):
	case !c.throttled:
		c.current = u
		return true
	case c.pending == nil || isNewer(u, c.pending):
		c.pending = u
	}
	return false
}

// endInterval ends the interval and reports whether the pending update is released.
func (c *conflation) endInterval() bool {
	c.throttled = false
	if c.pending == nil {
		return false
	}
	c.current, c.pending = c.pending, nil
	return true
}

func isNewer(u, than *odds.Update) bool { return u.Newer(than.Life, than.Version) }
