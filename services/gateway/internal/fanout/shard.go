package fanout

import (
	"runtime"
	"sync/atomic"
	"time"
)

// shard writes to its part of the connections, in one goroutine.
type shard struct {
	hub    *Hub
	poller poller
	inbox  inbox
	stats  shardStats
	// asleep means that the poller must be woken for the inbox to be looked at.
	asleep atomic.Bool

	// The rest belongs to the goroutine.
	now       time.Duration // taken once per turn
	wheel     wheel
	active    []*topic         // with a pass that has not ended
	throttled []throttledTopic // by time
	ahead     []aheadConn      // by time
	sockets   []*conn          // by file descriptor
	conns     int
	blocked   int // connections that are blocked
	taken     taken
	buf       []byte // for a backlog
	delivered int64  // since the last report
	beat      []byte // the last heartbeat
	beatAt    time.Duration
	patience  int // the user timeout of connections that are not patient, in ms; 0: none was seen
	stopping  bool
	// kept is for how long the shard was kept from its core by others, while it was in the
	// middle of long passes.
	kept  time.Duration
	clock func() (wall, cpu time.Duration) // cpu is what the thread has used
}

func newShard(h *Hub, p poller) *shard {
	s := &shard{hub: h, poller: p, inbox: inbox{topics: make(map[int64]*topic)}}
	s.clock = func() (wall, cpu time.Duration) {
		wall = h.now()
		return wall, threadCPU(wall)
	}
	s.wheel.init(wheelTick(h.cfg))
	return s
}

// run works until the shard is to stop and its last connection is closed.
func (s *shard) run() {
	defer s.poller.close()
	for {
		s.now = s.hub.now()
		busy := s.work()
		if s.stopping && s.stop() {
			return
		}
		if busy {
			runtime.Gosched() // handlers and the feed need the core, too
		}
		s.poller.wait(s.nextTimeout(busy), s.onEvent)
		s.asleep.Store(false)
	}
}

// work is one turn. It reports whether a pass has not ended.
func (s *shard) work() (busy bool) {
	s.receive()
	s.flushThrottled()
	s.correctAhead()
	s.wheel.advance(s.now, s.expire)
	busy = s.deliver()
	s.report()
	return busy
}

// receive acts on what is in the inbox.
func (s *shard) receive() {
	s.inbox.take(&s.taken)
	for _, u := range s.taken.updates {
		s.update(u.topic, u.update)
	}
	clear(s.taken.updates)
	for _, c := range s.taken.added {
		s.accept(c)
	}
	for _, c := range s.taken.signals {
		s.onSignal(c.conn, c.signals)
	}
	for _, f := range s.taken.calls {
		f()
	}
}

// report makes the shard's figures visible to other goroutines.
func (s *shard) report() {
	s.stats.blocked.Store(int64(s.blocked))
	if s.delivered > 0 {
		s.stats.delivered.Add(s.delivered)
		s.delivered = 0
	}
}

// nextTimeout returns how long the shard may sleep; a negative value means until
// woken.
func (s *shard) nextTimeout(busy bool) time.Duration {
	if busy {
		return 0
	}
	s.asleep.Store(true)
	if !s.inbox.isEmpty() { // it came before asleep was set
		return 0
	}
	wait := time.Duration(-1)
	now := s.hub.now()
	if s.conns > 0 {
		wait = max(0, s.wheel.next()-now)
	}
	if len(s.throttled) > 0 {
		if d := max(0, s.throttled[0].at-now); wait < 0 || d < wait {
			wait = d
		}
	}
	if len(s.ahead) > 0 {
		if d := max(0, s.ahead[0].at-now); wait < 0 || d < wait {
			wait = d
		}
	}
	return wait
}

// stop closes all connections and reports whether no other is to come.
func (s *shard) stop() bool {
	s.wheel.each(func(c *conn) { s.remove(c, GoingAway) })
	s.report()
	return s.inbox.stop()
}

// accept begins to serve a connection.
func (s *shard) accept(c *conn) {
	s.conns++
	c.lastWrite = s.now
	s.subscribe(c)
	s.wheel.add(c, s.due(c))
	if c.fd >= 0 {
		if err := s.pollSocket(c); err != nil {
			s.remove(c, Failed)
			return
		}
	}
	s.resume(c)
}

// pollSocket requests the events of a detached connection.
func (s *shard) pollSocket(c *conn) error {
	if n := int(c.fd) + 1 - len(s.sockets); n > 0 {
		s.sockets = append(s.sockets, make([]*conn, n)...)
	}
	s.sockets[c.fd] = c
	return s.poller.add(c.fd)
}

// resume sends what a connection lacks.
func (s *shard) resume(c *conn) {
	wasBlocked := c.blocked
	delivered, outcome := c.resume(s.now, &s.buf)
	s.delivered += int64(delivered)
	s.settle(c, wasBlocked, outcome)
}

// settle acts on the outcome of a write.
func (s *shard) settle(c *conn, wasBlocked bool, outcome outcome) {
	if c.blocked != wasBlocked {
		if c.blocked {
			s.blocked++
			s.wheel.reschedule(c, c.lastWrite+s.hub.cfg.WriteTimeout)
			s.suspendUserTimeout(c)
		} else {
			s.blocked--
		}
	}
	switch outcome {
	case gone:
		if c.timedOut {
			s.remove(c, Stalled)
			return
		}
		s.remove(c, ClientGone)
	case finished:
		s.remove(c, Finished)
	case writable, blocked:
	}
}

// remove ends a connection. It may be called twice.
func (s *shard) remove(c *conn, why Reason) {
	if c.removed {
		return
	}
	c.removed = true
	if c.blocked {
		c.blocked = false
		s.blocked--
	}
	s.unsubscribe(c)
	s.wheel.remove(c)
	s.conns--
	if c.fd >= 0 {
		s.sockets[c.fd] = nil
		closeSocket(c.fd, why == ClientGone)
	} else {
		c.writer.close()
	}
	c.rest, c.backlog = nil, nil
	s.stats.endings.add(why)
	if c.done != nil {
		c.done(why)
	}
	s.hub.exit()
}

// onSignal handles an event queued by signal.
func (s *shard) onSignal(c *conn, what signal) {
	switch {
	case c.removed:
	case what&isGone != 0:
		s.remove(c, ClientGone)
	case c.blocked:
		s.resume(c)
	}
}

// onEvent handles an event of the poller.
func (s *shard) onEvent(fd int32, what events) {
	if int(fd) >= len(s.sockets) || s.sockets[fd] == nil {
		return // closed earlier in this turn
	}
	c := s.sockets[fd]
	if what&readable != 0 {
		if why, ended := discardInput(fd, &c.received); ended {
			s.remove(c, why)
			return
		}
	}
	switch {
	case what&hungUp != 0:
		s.remove(c, ClientGone)
	case what&takesMore != 0 && c.blocked:
		s.resume(c)
	}
}
