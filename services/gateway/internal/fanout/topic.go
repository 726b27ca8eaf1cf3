package fanout

import (
	"slices"
	"time"

	"github.com/rafflecast/rafflecast/services/gateway/internal/odds"
)

// topic is a raffle to which some connection of a shard has subscribed.
type topic struct {
	raffleID    int64
	incoming    *odds.Update // newest that the shard has not taken; guarded by its inbox
	conflation  conflation
	subscribers subscribers
	active      bool          // a pass is under way
	first       *odds.Update  // with which that pass began
	sent        bool          // anything, in that pass
	began       time.Duration // the newest pass
	kept        time.Duration // of the shard, when that pass began
	// written counts the connections that were sent counted, which is conflation.current.
	counted *odds.Update
	written int
}

// count begins to count the connections that are sent the current update, unless they
// are counted already.
func (t *topic) count() {
	if t.counted != t.conflation.current {
		t.counted, t.written = t.conflation.current, 0
	}
}

// throttledTopic is a topic whose conflation interval ends at some time.
type throttledTopic struct {
	topic *topic
	at    time.Duration
}

// update takes an update that was published. It is sent to the topic's subscribers
// now or, within the conflation interval, when that ends.
func (s *shard) update(t *topic, u *odds.Update) {
	switch {
	case t.conflation.offer(u):
		s.release(t)
	case u == t.conflation.current:
		// The first subscriber found it in the cache before it was published. Nobody
		// lacks it but those who are blocked.
		s.hub.done(u, t.written)
	case t.active && u == t.conflation.pending:
		// Whom the pass has yet to visit is sent this one: it is newer, and costs the same.
		// The others are sent it, or a newer one, when the interval is over.
		t.conflation.current = u
		t.count()
	}
}

// release begins a pass over all subscribers, which are sent the topic's current update.
// Without conflation a pass with an older one may be under way: it goes on with this one,
// and the older one is never reported as delivered.
func (s *shard) release(t *topic) {
	t.conflation.throttled = s.hub.cfg.ConflationInterval > 0
	t.began, t.kept = s.now, s.kept
	t.count()
	t.subscribers.startPass()
	if !t.active {
		t.active, t.first, t.sent = true, t.conflation.current, false
		s.active = append(s.active, t)
	}
}

// endPass is called when no subscriber is left to be offered the current update.
func (s *shard) endPass(t *topic) {
	if s.hub.cfg.PassEnded != nil && t.sent && t.first.Delivery != nil {
		s.hub.cfg.PassEnded(t.first)
	}
	if t.conflation.pending != t.conflation.current { // else those who were visited first lack it
		s.hub.done(t.conflation.current, t.written)
	}
	if t.conflation.throttled {
		s.throttle(t)
	}
}

// longestRest bounds how long a topic rests after a pass.
const longestRest = 250 * time.Millisecond

// throttle keeps a topic throttled until its conflation interval is over, and after the pass
// that has just ended at least for as long as the shard was kept from its core meanwhile.
// That time was taken by something that needs the core, too: on a machine that does nothing
// else, it is nothing. Otherwise, back-to-back passes would keep newer odds from coming, and
// older ones from being read.
func (s *shard) throttle(t *topic) {
	rest := min(s.kept-t.kept, longestRest)
	until := max(t.began+s.hub.cfg.ConflationInterval, s.now+rest)
	i := len(s.throttled) // or a little before it: most topics are throttled for the same time
	for i > 0 && s.throttled[i-1].at > until {
		i--
	}
	s.throttled = slices.Insert(s.throttled, i, throttledTopic{t, until})
}

// flushThrottled releases pending updates of topics whose interval is over.
func (s *shard) flushThrottled() {
	n := 0
	for n < len(s.throttled) && s.throttled[n].at <= s.now {
		t := s.throttled[n].topic
		n++
		if t.conflation.endInterval() {
			s.release(t)
		}
	}
	s.throttled = slices.Delete(s.throttled, 0, n)
}

// chunk is how many subscribers are offered an update before other topics, events
// and new connections get their turn: at 5 µs each, a millisecond or so.
const chunk = 256

// deliver goes on with the passes, a chunk of each, and reports whether any has not
// ended.
func (s *shard) deliver() (unfinished bool) {
	if s.hub.cfg.ConflationInterval > 0 && slices.ContainsFunc(s.active, (*topic).isLong) {
		defer s.noteKept(s.clock())
	}
	active := s.active[:0]
	for _, t := range s.active {
		before := t.written
		for i := 0; i < chunk && t.subscribers.todo > 0; i++ {
			s.offer(t.subscribers.visit(), t.conflation.current)
		}
		s.delivered += int64(t.written - before)
		t.sent = t.sent || t.written > before
		if t.active = t.subscribers.todo > 0; t.active {
			active = append(active, t)
		} else {
			s.endPass(t)
		}
	}
	clear(s.active[len(active):])
	s.active = active
	return len(active) > 0
}

// isLong reports whether a pass needs more than one chunk: it is worth measuring.
func (t *topic) isLong() bool { return t.subscribers.todo > chunk }

// noteKept adds the time for which the shard was kept from its core since its clock showed
// these times.
func (s *shard) noteKept(wall, cpu time.Duration) {
	nowWall, nowCPU := s.clock()
	s.kept += max(0, nowWall-wall-(nowCPU-cpu))
}

// offer sends an update to a subscriber, or notes that it lags.
func (s *shard) offer(to subscriber, u *odds.Update) {
	c := to.conn
	if c.blocked {
		c.lagging = true
		return
	}
	s.settle(c, false, c.sendUpdate(to.sub, u, s.now, &s.buf))
}

// subscribe adds a connection to the topics of its subscriptions.
func (s *shard) subscribe(c *conn) {
	for i := range c.subs {
		sub := &c.subs[i]
		var isNew bool
		if sub.topic, isNew = s.inbox.topic(sub.RaffleID); isNew {
			// What was published before the topic existed did not reach it.
			sub.topic.conflation.current = s.hub.cfg.Cache.Newest(sub.RaffleID)
		}
		sub.topic.subscribers.add(c, sub)
		switch current := sub.topic.conflation.current; {
		case current == nil:
			// If the caller knew the raffle, it was removed since: the client comes back and
			// is told.
			if isNew && (sub.Life != 0 || c.backlog != nil) {
				c.endsAt = s.now
			}
		case current.Newer(sub.Life, sub.LastSent):
			c.lagging = true
		case sub.isAheadOf(current):
			s.ahead = append(s.ahead, aheadConn{c, s.now + s.hub.cfg.Heartbeat})
		}
	}
}

// unsubscribe removes a connection from its topics, and forgets topics without
// subscribers.
func (s *shard) unsubscribe(c *conn) {
	for i := range c.subs {
		t := c.subs[i].topic
		t.subscribers.remove(&c.subs[i])
		if len(t.subscribers.list) == 0 {
			s.inbox.forget(t)
		}
	}
}
