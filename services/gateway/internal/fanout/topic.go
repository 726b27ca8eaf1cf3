package fanout

import (
	"slices"
	"time"

	"github.com/rafflecast/rafflecast/services/gateway/internal/odds"
)

// topic is a raffle that some connection of a shard watches.
type topic struct {
	raffle   int64
	incoming *odds.Update // newest that the shard has not looked at; guarded by its inbox

	current *odds.Update // newest that may go out
	held    *odds.Update // newer, and waits for the spacing to pass
	cooling bool         // current went out less than the spacing ago
	members []member
	// A pass offers current to all members, in chunks and going round: with a
	// newer one it starts over from where it is, so that none is offered twice
	// while others wait.
	next   int // member to go on with
	todo   int // members to go
	active bool
	// What Publish handed over has to be reported as arrived, once.
	owed     *odds.Update // current, where the pass must report it
	owedHeld *odds.Update // held, likewise
	written  int          // connections that the pass has written to
}

// member is a connection's watch of the topic.
type member struct {
	conn  *conn
	watch *watch
}

// cooled is a topic whose spacing is over at some time.
type cooled struct {
	topic *topic
	at    time.Duration
}

// update takes a newer update: it goes out now, or is held. owed is the same one
// where Publish handed it over, else nil.
func (s *shard) update(t *topic, u, owed *odds.Update) {
	switch {
	case t.current != nil && u.Version <= t.current.Version:
		if owed != nil && u == t.current && t.active {
			t.owed = owed // the pass came before Publish
		} else {
			s.hub.superseded(owed)
		}
	case !t.cooling:
		s.release(t, u, owed)
	case t.held == nil || u.Version > t.held.Version:
		s.hub.superseded(t.owedHeld)
		t.held, t.owedHeld = u, owed
	case owed != nil && u == t.held:
		t.owedHeld = owed
	default:
		s.hub.superseded(owed)
	}
}

// release lets an update go out.
func (s *shard) release(t *topic, u, owed *odds.Update) {
	s.hub.superseded(t.owed)
	t.current, t.owed, t.written = u, owed, 0
	if spacing := s.hub.cfg.Spacing; spacing > 0 {
		t.cooling = true
		s.cooling = append(s.cooling, cooled{t, s.now + spacing})
	}
	s.restart(t)
}

// restart begins a pass over all members.
func (s *shard) restart(t *topic) {
	t.todo = len(t.members)
	switch {
	case t.todo == 0:
		s.finishPass(t)
	case !t.active:
		t.active = true
		s.active = append(s.active, t)
	}
}

// finishPass reports what all members were offered.
func (s *shard) finishPass(t *topic) {
	if t.owed != nil {
		s.hub.arrived(t.owed, t.written)
		t.owed = nil
	}
}

// cool releases what was held, where the spacing has passed. Topics cool in the
// order in which they were sent, since the spacing is one for all.
func (s *shard) cool() {
	n := 0
	for n < len(s.cooling) && s.cooling[n].at <= s.now {
		t := s.cooling[n].topic
		n++
		t.cooling = false
		if u := t.held; u != nil {
			owed := t.owedHeld
			t.held, t.owedHeld = nil, nil
			s.release(t, u, owed)
		}
	}
	s.cooling = slices.Delete(s.cooling, 0, n)
}

// chunk is how many members are offered an update before other topics, events
// and new connections get their turn: at 5 µs each, a millisecond or so.
const chunk = 256

// deliver goes on with the passes, a chunk of each, and tells whether any is
// still to be finished.
func (s *shard) deliver() bool {
	unfinished := s.active[:0]
	for _, t := range s.active {
		before := s.delivered
		for range min(t.todo, chunk) {
			if t.todo == 0 { // the rest left meanwhile
				break
			}
			t.todo--
			if t.next >= len(t.members) {
				t.next = 0
			}
			m := t.members[t.next]
			t.next++
			s.offer(m.conn, m.watch, t.current)
		}
		t.written += int(s.delivered - before)
		if t.active = t.todo > 0; t.active {
			unfinished = append(unfinished, t)
		} else {
			s.finishPass(t)
		}
	}
	clear(s.active[len(unfinished):])
	s.active = unfinished
	return len(unfinished) > 0
}

// offer sends an update, or notes that the connection is behind.
func (s *shard) offer(c *conn, w *watch, u *odds.Update) {
	switch {
	case u.Version <= w.seen:
	case c.full:
		c.behind = true
	default:
		s.sendUpdate(c, w, u)
	}
}

// join adds a connection to the topic of each of its watches.
func (s *shard) join(c *conn) {
	s.inbox.mu.Lock()
	for i := range c.watches {
		c.watches[i].topic = s.inbox.topic(c.watches[i].raffle)
	}
	s.inbox.mu.Unlock()
	for i := range c.watches {
		w := &c.watches[i]
		w.at = int32(len(w.topic.members))
		w.topic.members = append(w.topic.members, member{c, w})
		if w.topic.todo > 0 { // it may stand before one that the pass still has to reach
			w.topic.todo++
		}
		// What was published before it joined may be newer than what it has.
		if newest := s.hub.cfg.Newest(w.raffle); newest != nil && newest.Version > w.seen {
			s.update(w.topic, newest, nil)
		}
		if current := w.topic.current; current != nil && current.Version > w.seen {
			c.behind = true
		}
	}
}

// part takes a connection out of its topics, and forgets topics without members.
func (s *shard) part(c *conn) {
	for i := range c.watches {
		w := &c.watches[i]
		t := w.topic
		last := len(t.members) - 1
		moved := t.members[last]
		t.members[w.at] = moved
		moved.watch.at = w.at
		t.members[last] = member{}
		t.members = t.members[:last]
		if t.todo > 0 { // the one that moved may have been missed
			t.todo = last
		}
		if last == 0 {
			s.forget(t)
		}
	}
}
