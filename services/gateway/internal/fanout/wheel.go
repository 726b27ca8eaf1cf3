package fanout

import "time"

// wheel is a timer wheel: it holds connections by when something is due for them.
// Adding and removing cost the same however many there are. A connection is in one
// slot at a time. Its deadlines mostly move on while it waits there (each delivery
// puts the heartbeat off), which costs nothing: it expires, and is added again.
type wheel struct {
	tick  time.Duration
	at    int64 // tick up to which all have expired
	first int64 // no slot before this tick holds anything
	slots [slots]*conn
}

// slots cover 100 s at the longest tick: more than heartbeats and write timeouts by
// default. What is due later expires on the way and is added again.
const slots = 1024

// wheelTick returns how long a tick may be for deadlines to be met within 1 %.
func wheelTick(cfg Config) time.Duration {
	return min(max(min(cfg.Heartbeat, cfg.WriteTimeout, cfg.Lifetime)/128, time.Millisecond), 100*time.Millisecond)
}

func (w *wheel) init(tick time.Duration) { w.tick, w.first = tick, 1 }

// add adds a connection that is in no slot. It expires at a time or less than a tick
// later, but not before the next tick.
func (w *wheel) add(c *conn, at time.Duration) {
	tick := int64((at + w.tick - 1) / w.tick)
	tick = min(max(tick, w.at+1), w.at+slots-1) // never the slot that is expiring
	c.due = tick
	slot := &w.slots[tick%slots]
	c.prev, c.next = nil, *slot
	if *slot != nil {
		(*slot).prev = c
	}
	*slot = c
	w.first = min(w.first, tick)
}

// remove removes a connection from its slot, if it is in one.
func (w *wheel) remove(c *conn) {
	if c.due == 0 {
		return
	}
	if c.prev != nil {
		c.prev.next = c.next
	} else {
		w.slots[c.due%slots] = c.next
	}
	if c.next != nil {
		c.next.prev = c.prev
	}
	c.prev, c.next, c.due = nil, nil, 0
}

// reschedule moves c's deadline forward to at. It does nothing while c is being
// expired: expire adds it again.
func (w *wheel) reschedule(c *conn, at time.Duration) {
	if c.due > 0 && at < time.Duration(c.due)*w.tick {
		w.remove(c)
		w.add(c, at)
	}
}

// advance removes all connections for which something is due, and calls expire with
// each.
func (w *wheel) advance(now time.Duration, expire func(*conn)) {
	until := int64(now / w.tick)
	if until-w.at > slots { // after a long sleep each slot once is enough
		w.at = until - slots
	}
	w.at = max(w.at, min(w.first-1, until)) // skips empty slots
	for w.at < until {
		w.at++
		for slot := &w.slots[w.at%slots]; *slot != nil && (*slot).due <= w.at; {
			c := *slot
			w.remove(c)
			expire(c)
		}
	}
	w.first = max(w.first, w.at+1)
}

// next returns when something may be due.
func (w *wheel) next() time.Duration {
	for w.first < w.at+slots && w.slots[w.first%slots] == nil {
		w.first++
	}
	return time.Duration(w.first) * w.tick
}

// each calls f with all connections. f may remove or reschedule the one it is given.
func (w *wheel) each(f func(*conn)) {
	var all []*conn
	for _, c := range w.slots {
		for ; c != nil; c = c.next {
			all = append(all, c)
		}
	}
	for _, c := range all {
		f(c)
	}
}
