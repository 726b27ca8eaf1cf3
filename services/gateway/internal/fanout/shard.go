package fanout

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rafflecast/rafflecast/services/gateway/internal/odds"
)

// shard writes to its part of the connections, in one goroutine.
type shard struct {
	hub    *Hub
	poller poller
	inbox  inbox
	stats  stats
	// asleep says that the poller must be woken for the inbox to be looked at.
	asleep atomic.Bool

	// The rest belongs to the goroutine.
	now       time.Duration // taken once per turn
	wheel     wheel
	active    []*topic // with a pass to go on with
	cooling   []cooled // by time
	sockets   []*conn  // by file descriptor
	conns     int
	full      int // connections that are behind
	received  []incoming
	delivered int64
	beat      []byte // a heartbeat that was encoded
	beatAt    time.Duration
	stopping  bool
}

// inbox is what others want of a shard.
type inbox struct {
	mu      sync.Mutex
	topics  map[int64]*topic
	dirty   []incoming // topics with something incoming, each once
	added   []*conn
	signals []*conn // with signals set, each once
	calls   []func()
	stopped bool // nobody looks any more
}

// incoming is a topic with its update, once the shard has taken that.
type incoming struct {
	topic  *topic
	update *odds.Update
}

// signal is what a port has to say.
type signal uint8

const (
	isWritable signal = 1 << iota
	isGone
)

func newShard(h *Hub) (*shard, error) {
	s := &shard{hub: h, inbox: inbox{topics: make(map[int64]*topic)}}
	s.wheel.init(wheelTick(h.cfg))
	var err error
	if h.cfg.Ordinary {
		s.poller = newSleeper()
	} else {
		s.poller, err = newPoller()
	}
	return s, err
}

// run works until the shard is to stop and its last connection is closed.
func (s *shard) run() {
	defer s.poller.close()
	for {
		s.now = s.hub.now()
		s.receive()
		s.cool()
		s.wheel.advance(s.now, s.look)
		busy := s.deliver()
		s.report()
		if s.stopping && s.stop() {
			return
		}
		if busy {
			runtime.Gosched() // handlers and the feed need the core, too
		}
		s.poller.wait(s.patience(busy), s.event)
		s.asleep.Store(false)
	}
}

// patience returns how long the shard may sleep; less than 0: until it is woken.
func (s *shard) patience(busy bool) time.Duration {
	if busy {
		return 0
	}
	s.asleep.Store(true)
	if s.inbox.any() { // came in before asleep was set
		return 0
	}
	wait := time.Duration(-1)
	now := s.hub.now()
	if s.conns > 0 {
		wait = max(0, s.wheel.next()-now)
	}
	if len(s.cooling) > 0 {
		if d := max(0, s.cooling[0].at-now); wait < 0 || d < wait {
			wait = d
		}
	}
	return wait
}

// stop closes everything, and tells whether the shard is done.
func (s *shard) stop() bool {
	s.wheel.each(func(c *conn) { s.remove(c, SentAway) })
	s.report()
	s.inbox.mu.Lock()
	defer s.inbox.mu.Unlock()
	s.inbox.stopped = len(s.inbox.added) == 0
	return s.inbox.stopped
}

func (i *inbox) any() bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	return len(i.dirty)+len(i.added)+len(i.signals)+len(i.calls) > 0
}

// receive empties the inbox.
func (s *shard) receive() {
	in := &s.inbox
	in.mu.Lock()
	// The two lists of dirty topics take turns, so that none is allocated anew.
	dirty, added, signals, calls := in.dirty, in.added, in.signals, in.calls
	in.dirty, in.added, in.signals, in.calls = s.received[:0], nil, nil, nil
	for i := range dirty {
		dirty[i].update, dirty[i].topic.incoming = dirty[i].topic.incoming, nil
	}
	said := make([]signal, len(signals))
	for i, c := range signals {
		said[i], c.signals = c.signals, 0
	}
	in.mu.Unlock()

	for _, d := range dirty {
		s.update(d.topic, d.update, d.update)
	}
	clear(dirty)
	s.received = dirty
	for _, c := range added {
		s.add(c)
	}
	for i, c := range signals {
		s.hear(c, said[i])
	}
	for _, f := range calls {
		f()
	}
}

// topic returns a raffle's topic, a new one where there is none. i.mu is held.
func (i *inbox) topic(raffleID int64) *topic {
	t := i.topics[raffleID]
	if t == nil {
		t = &topic{raffle: raffleID}
		i.topics[raffleID] = t
	}
	return t
}

// forget drops a topic that has no members.
func (s *shard) forget(t *topic) {
	s.inbox.mu.Lock()
	defer s.inbox.mu.Unlock()
	if s.inbox.topics[t.raffle] == t {
		delete(s.inbox.topics, t.raffle)
	}
}

// publish takes an update, and tells whether anybody here watches its raffle.
func (s *shard) publish(u *odds.Update) bool {
	s.inbox.mu.Lock()
	t := s.inbox.topics[u.RaffleID]
	if t == nil {
		s.inbox.mu.Unlock()
		return false
	}
	before := t.incoming
	if before == nil {
		s.inbox.dirty = append(s.inbox.dirty, incoming{topic: t})
	}
	t.incoming = u
	s.inbox.mu.Unlock()
	s.hub.superseded(before)
	s.wake()
	return true
}

// post has the shard call f.
func (s *shard) post(f func()) {
	s.inbox.mu.Lock()
	s.inbox.calls = append(s.inbox.calls, f)
	s.inbox.mu.Unlock()
	s.wake()
}

// give hands a connection over; false where the shard has stopped.
func (s *shard) give(c *conn) bool {
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

// tell says something of a connection with a port.
func (s *shard) tell(c *conn, said signal) {
	s.inbox.mu.Lock()
	if c.signals == 0 {
		s.inbox.signals = append(s.inbox.signals, c)
	}
	c.signals |= said
	s.inbox.mu.Unlock()
	s.wake()
}

func (s *shard) wake() {
	if s.asleep.Swap(false) {
		s.poller.wake()
	}
}
