package fanout

import (
	"time"

	"github.com/rafflecast/rafflecast/services/gateway/internal/odds"
	"github.com/rafflecast/rafflecast/services/gateway/internal/sse"
)

// conn is one connection. It belongs to its shard; but for what Serve sets
// before it is handed over. What each delivery touches stands first, within one
// cache line.
type conn struct {
	one [1]watch // the memory of watches, for the usual one
	fd  int32    // of a detached connection, else -1
	// full says that the socket took less than it was given; it will say when it
	// takes more.
	full   bool
	behind bool // some raffle's newest odds are still to be sent
	// silentSince is when a frame last went out.
	silentSince time.Duration

	turn    uint8  // watch to begin with when behind, so that none starves
	quiet   bool   // no heartbeats and farewells: it waits for one update
	parted  bool   // its farewell has begun
	gone    bool   // removed
	signals signal // guarded by the shard's inbox
	// received counts the bytes that came after the request, all thrown away.
	received int32
	interval int32 // heartbeats, in ms

	shard   *shard
	out     outlet // where fd is -1
	rest    []byte // of a frame that went out in part; shared, never changed
	watches []watch
	done    func(Reason)

	blockedSince time.Duration // while full: when it last took anything
	endsAt       time.Duration
	ending       Reason // why it ends then

	due        int64 // tick of the wheel's slot
	prev, next *conn // in that slot
}

// watch is a raffle that a connection watches.
type watch struct {
	seen   int64 // version that was sent
	topic  *topic
	raffle int64
	at     int32 // index in the topic's members
	final  bool  // no other version will follow
}

// mayTalk bounds what a client may send after its request, over its whole life:
// what it has pipelined, say. It is thrown away.
const mayTalk = 16 << 10

// outlet takes bytes without blocking.
type outlet interface {
	// write returns how many bytes it took; fewer than all mean that it is full.
	write(b []byte) (int, error)
	// close is called once. What was written before is still delivered.
	close()
}

// Reason is why a connection ended.
type Reason string

// The reasons, as metrics name them.
const (
	Finished  Reason = "final"     // all its raffles are over
	LivedOut  Reason = "lifetime"  // it comes back, perhaps to another instance
	ClientEnd Reason = "client"    // the client went
	SentAway  Reason = "leaving"   // this instance stops
	Stalled   Reason = "stalled"   // it took nothing for the write timeout
	Talking   Reason = "talking"   // it sent too much after its request
	Failed    Reason = "error"     // the system could not serve it
	WaitedOut Reason = "wait_over" // a long poll without news
)

// Reasons lists them all.
func Reasons() []Reason {
	return []Reason{Finished, LivedOut, ClientEnd, SentAway, Stalled, Talking, Failed, WaitedOut}
}

// write gives bytes to the connection's socket.
func (c *conn) write(b []byte) (int, error) {
	if c.fd >= 0 {
		return send(c.fd, b)
	}
	return c.out.write(b)
}

// over tells whether none of its raffles will have another update.
func (c *conn) over() bool {
	for i := range c.watches {
		if !c.watches[i].final {
			return false
		}
	}
	return true
}

// push writes to the connection and returns how many bytes went out; -1 means
// that it was removed.
func (s *shard) push(c *conn, b []byte) int {
	n, err := c.write(b)
	if err != nil {
		s.remove(c, ClientEnd)
		return -1
	}
	if n > 0 {
		c.silentSince = s.now
	}
	switch {
	case n < len(b):
		s.block(c, n)
	case c.full:
		s.unblock(c)
	}
	return n
}

// send writes a frame that must be complete before anything else goes out. It
// tells whether more can be written. Nothing of another frame is left over.
func (s *shard) send(c *conn, frame []byte) bool {
	n := s.push(c, frame)
	if n < 0 {
		return false
	}
	c.rest = frame[n:]
	return n == len(frame)
}

// sendUpdate sends a raffle's newest odds where the connection lacks them, and
// tells whether more can be written. A frame of which nothing went out is not
// kept: by the time that the socket takes bytes again there may be a newer one.
func (s *shard) sendUpdate(c *conn, w *watch, u *odds.Update) bool {
	if u == nil || u.Version <= w.seen {
		return true
	}
	n := s.push(c, u.Frame)
	switch {
	case n < 0:
		return false
	case n == 0:
		c.behind = true
		return false
	}
	w.seen, w.final = u.Version, u.Final
	s.delivered++
	if n < len(u.Frame) {
		c.rest = u.Frame[n:]
		return false
	}
	if u.Final && c.over() {
		s.finish(c)
		return false
	}
	return true
}

// finish ends a connection whose raffles are over, with the ids of all.
func (s *shard) finish(c *conn) {
	if !c.parted {
		c.parted = true
		if ids := c.appendIDs(nil); len(ids) > 0 && !s.send(c, append(ids, '\n')) {
			return
		}
	}
	s.remove(c, Finished)
}

// appendIDs appends an id without an event, by which an EventSource takes note
// of all that it has of several raffles; an update's id names only one.
func (c *conn) appendIDs(b []byte) []byte {
	if len(c.watches) == 1 {
		return b
	}
	ids := make([]byte, 0, 16*len(c.watches))
	for i := range c.watches {
		if w := &c.watches[i]; w.seen > 0 {
			if len(ids) > 0 {
				ids = append(ids, ',')
			}
			ids = append(ids, odds.ID(w.raffle, w.seen)...)
		}
	}
	return sse.AppendID(b, string(ids))
}

// block notes that a socket is full, having taken n bytes.
func (s *shard) block(c *conn, n int) {
	if n > 0 || !c.full {
		c.blockedSince = s.now
	}
	if c.full {
		return
	}
	c.full = true
	s.full++
	s.wheel.sooner(c, s.now+s.hub.cfg.WriteTimeout)
}

func (s *shard) unblock(c *conn) {
	if c.full {
		c.full = false
		s.full--
	}
}

// writable goes on where a full socket takes bytes again: the rest of a frame,
// then the newest of each raffle.
func (s *shard) writable(c *conn) {
	if len(c.rest) > 0 {
		if !s.send(c, c.rest) {
			return
		}
		c.rest = nil
	}
	if c.over() {
		s.finish(c)
		return
	}
	behind := c.behind
	c.behind = false
	n := len(c.watches)
	for i := 0; behind && i < n; i++ {
		at := (int(c.turn) + i) % n
		w := &c.watches[at]
		if !s.sendUpdate(c, w, w.topic.current) {
			c.behind, c.turn = true, uint8((at+1)%n)
			return
		}
	}
	s.unblock(c)
}
