package fanout

import "time"

// wheel holds connections by when they must be looked at. Adding and removing
// cost the same however many there are. A connection is in one slot at a time;
// its deadlines mostly move on while it waits there (each delivery puts the
// heartbeat off), which costs nothing: it is looked at, and put further on.
type wheel struct {
	tick  time.Duration
	at    int64 // tick up to which all has been looked at
	first int64 // no slot before this tick holds anything
	slots [slots]*conn
}

// slots cover 100 s at the longest tick: more than heartbeats and write timeouts
// by default. What is due later is looked at on the way.
const slots = 1024

// wheelTick returns how coarse the wheel may be for its deadlines to be within
// a hundredth.
func wheelTick(cfg Config) time.Duration {
	return min(max(min(cfg.Heartbeat, cfg.WriteTimeout, cfg.Lifetime)/128, time.Millisecond), 100*time.Millisecond)
}

func (w *wheel) init(tick time.Duration) { w.tick, w.first = tick, 1 }

// add puts a connection, which is in no slot, where it is found at a time or
// less than a tick after, but not before the next tick.
func (w *wheel) add(c *conn, at time.Duration) {
	tick := int64((at + w.tick - 1) / w.tick)
	tick = min(max(tick, w.at+1), w.at+slots-1) // never the slot that is being looked at
	c.due = tick
	slot := &w.slots[tick%slots]
	c.prev, c.next = nil, *slot
	if *slot != nil {
		(*slot).prev = c
	}
	*slot = c
	w.first = min(w.first, tick)
}

// remove takes a connection out of its slot, where it is in one.
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

// sooner has a connection looked at no later than at a time. One that is being
// looked at right now is put back by that.
func (w *wheel) sooner(c *conn, at time.Duration) {
	if c.due > 0 && at < time.Duration(c.due)*w.tick {
		w.remove(c)
		w.add(c, at)
	}
}

// advance looks at all that is due.
func (w *wheel) advance(now time.Duration, look func(*conn)) {
	until := int64(now / w.tick)
	if until-w.at > slots { // it slept: each slot once is enough
		w.at = until - slots
	}
	w.at = max(w.at, min(w.first-1, until)) // skips what is empty
	for w.at < until {
		w.at++
		for slot := &w.slots[w.at%slots]; *slot != nil && (*slot).due <= w.at; {
			c := *slot
			w.remove(c)
			look(c)
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

// each calls f with all connections; f may remove or move the one it is given.
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
