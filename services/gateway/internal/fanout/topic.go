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
	active      bool // a pass with conflation.current is under way
	// written counts the connections that were sent conflation.current since it was
	// released.
	written int
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
	}
}

// release sends the topic's current update to all subscribers. If a pass with an
// older one is under way, it goes on with this one, and the older one is never
// reported as delivered.
func (s *shard) release(t *topic) {
	if interval := s.hub.cfg.ConflationInterval; interval > 0 {
		t.conflation.throttled = true
		s.throttled = append(s.throttled, throttledTopic{t, s.now + interval})
	}
	t.written = 0
	t.subscribers.startPass()
	if !t.active {
		t.active = true
		s.active = append(s.active, t)
	}
}

// flushThrottled releases pending updates of topics whose interval is over. The
// topics are in the order in which they were released, since all have the same
// interval.
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
	active := s.active[:0]
	for _, t := range s.active {
		before := t.written
		for i := 0; i < chunk && t.subscribers.todo > 0; i++ {
			s.offer(t.subscribers.visit(), t.conflation.current)
		}
		s.delivered += int64(t.written - before)
		if t.active = t.subscribers.todo > 0; t.active {
			active = append(active, t)
		} else {
			s.hub.done(t.conflation.current, t.written)
		}
	}
	clear(s.active[len(active):])
	s.active = active
	return len(active) > 0
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
