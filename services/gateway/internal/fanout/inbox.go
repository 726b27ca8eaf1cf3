package fanout

import (
	"sync"

	"github.com/rafflecast/rafflecast/services/gateway/internal/odds"
)

// inbox is what other goroutines ask of a shard.
type inbox struct {
	mu      sync.Mutex
	topics  map[int64]*topic // by raffle
	updates []incomingUpdate // topics with something incoming, each once
	added   []*conn
	signals []signalled // each connection once
	calls   []func()
	stopped bool // the shard takes no more connections
}

// incomingUpdate is a topic with an update. Which one is known once the shard takes
// it: until then a newer one may replace it.
type incomingUpdate struct {
	topic  *topic
	update *odds.Update
}

// signalled is a connection with the signals of its handler.
type signalled struct {
	conn    *conn
	signals signal
}

// signal is what a handler has to say of its connection.
type signal uint8

const (
	isWritable signal = 1 << iota
	isGone
)

// topic returns a raffle's topic and reports whether it is new.
func (in *inbox) topic(raffleID int64) (_ *topic, isNew bool) {
	in.mu.Lock()
	defer in.mu.Unlock()
	t := in.topics[raffleID]
	if isNew = t == nil; isNew {
		t = &topic{raffleID: raffleID}
		in.topics[raffleID] = t
	}
	return t, isNew
}

// forget drops a topic that has no subscribers.
func (in *inbox) forget(t *topic) {
	in.mu.Lock()
	defer in.mu.Unlock()
	delete(in.topics, t.raffleID)
}

// isEmpty reports whether there is nothing to take.
func (in *inbox) isEmpty() bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	return len(in.updates)+len(in.added)+len(in.signals)+len(in.calls) == 0
}

// stop refuses further connections and reports whether none is left to take.
func (in *inbox) stop() bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.stopped = len(in.added) == 0
	return in.stopped
}

// taken is what a shard has taken out of its inbox.
type taken struct {
	updates []incomingUpdate
	added   []*conn
	signals []signalled
	calls   []func()
}

// take moves what is in the inbox into t. The memory of updates is exchanged, so that
// none is allocated.
func (in *inbox) take(t *taken) {
	in.mu.Lock()
	defer in.mu.Unlock()
	t.updates, in.updates = in.updates, t.updates[:0]
	t.added, t.signals, t.calls = in.added, in.signals, in.calls
	in.added, in.signals, in.calls = nil, nil, nil
	for i := range t.updates {
		u := &t.updates[i]
		u.update, u.topic.incoming = u.topic.incoming, nil
	}
	for i := range t.signals {
		c := t.signals[i].conn
		t.signals[i].signals, c.signals = c.signals, 0
	}
}

// publish takes an update and reports whether anybody has subscribed to its raffle.
// One that came before and was not taken is dropped.
func (s *shard) publish(u *odds.Update) bool {
	s.inbox.mu.Lock()
	t := s.inbox.topics[u.RaffleID]
	if t == nil {
		s.inbox.mu.Unlock()
		return false
	}
	if t.incoming == nil {
		s.inbox.updates = append(s.inbox.updates, incomingUpdate{topic: t})
	}
	t.incoming = u
	s.inbox.mu.Unlock()
	s.wake()
	return true
}

// do has the shard call f.
func (s *shard) do(f func()) {
	s.inbox.mu.Lock()
	s.inbox.calls = append(s.inbox.calls, f)
	s.inbox.mu.Unlock()
	s.wake()
}

// add hands a connection over and reports whether the shard takes it: it has not
// stopped.
func (s *shard) add(c *conn) bool {
	s.inbox.mu.Lock()
	if s.inbox.stopped {
		s.inbox.mu.Unlock()
		return false
	}
	s.inbox.added = append(s.inbox.added, c)
	s.inbox.mu.Unlock()
	s.wake()
	return true
}

// signal queues an event of a handler-backed connection and wakes the shard.
func (s *shard) signal(c *conn, what signal) {
	s.inbox.mu.Lock()
	if c.signals == 0 {
		s.inbox.signals = append(s.inbox.signals, signalled{conn: c})
	}
	c.signals |= what
	s.inbox.mu.Unlock()
	s.wake()
}

func (s *shard) wake() {
	if s.asleep.Swap(false) {
		s.poller.wake()
	}
}
