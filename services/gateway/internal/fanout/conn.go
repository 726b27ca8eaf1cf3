package fanout

import (
	"errors"
	"syscall"
	"time"

	"github.com/rafflecast/rafflecast/services/gateway/internal/odds"
)

// The life of a connection:
//
//	Serve     The HTTP handler has decided what the client is to be sent. Serve makes
//	          a conn of it, takes the socket from net/http if it can, and adds the
//	          conn to the inbox of a shard. From here on the shard owns it.
//	accept    The shard subscribes it to its topics, puts it into its timer wheel and
//	          its poller, and calls resume: the opening and the backlog are sent, then
//	          whatever has become newer in the meantime.
//	offer     An update comes to a topic, whose pass offers it to each subscriber. A
//	          connection that takes bytes is sent its frame, with one system call.
//	blocked   The socket took only a part, or nothing. The rest of the frame is kept,
//	          by reference. Further updates are not: the connection is only marked as
//	          lagging. When the socket is writable again, resume sends the rest, and
//	          then the newest update of each raffle whose newest it lacks.
//	expire    The timer wheel finds the connection when it has been silent for the
//	          heartbeat, blocked for the write timeout, or open for its lifetime (or
//	          for as long as the drain lets it).
//	correct   If a client came back with a version that is not known here, another
//	          instance may have been faster. If it is still not known by the time of the
//	          first heartbeat, the client is sent a reset and what is known.
//	remove    The connection leaves its topics, wheel and poller. The socket is closed;
//	          the kernel delivers what was written. Done is called.

// conn is one connection. Only its shard's goroutine may touch it once Serve has
// handed it over. What each delivery touches comes first, within one cache line.
type conn struct {
	one [1]Subscription // the memory of subs, if there is only one
	fd  int32           // of a detached connection, else -1
	// blocked means that the socket took less than it was given. It reports when it
	// takes more.
	blocked bool
	lagging bool // some subscription may lack its topic's current update
	// lastWrite is when bytes were last sent, or when the connection became blocked if
	// that is later.
	lastWrite time.Duration

	turn     uint8 // subscription to begin with when lagging, so that none starves
	timedOut bool  // the socket has failed because the client took nothing for too long
	removed  bool
	// forMembers means that the client may watch raffles for members.
	forMembers bool
	// patient means that the kernel does not bound how long data stays unacknowledged.
	patient  bool
	signals  signal // guarded by the shard's inbox
	ending   Reason // why it ends at endsAt
	received int32  // bytes that came after the request, all thrown away
	interval int32  // of heartbeats, in ms

	shard   *shard
	writer  writer   // if fd is -1
	rest    []byte   // of a frame that was sent in part; shared, never changed
	backlog *backlog // nil once it has been sent
	subs    []Subscription
	done    func(Reason)
	endsAt  time.Duration

	due        int64 // tick of its slot in the wheel; 0: in none
	prev, next *conn // in that slot
}

// writer takes bytes without blocking.
type writer interface {
	// write returns how many bytes it took. Fewer than all mean that it is full. It
	// may keep b until it is writable again.
	write(b []byte) (int, error)
	// close is called once. What was written before is still sent.
	close()
}

// outcome is what a write has led to.
type outcome uint8

const (
	writable outcome = iota // all was sent
	blocked                 // the socket is full
	gone                    // the client is
	finished                // all was sent that will ever be
)

// put gives bytes to the socket.
func (c *conn) put(b []byte) (int, error) {
	if c.fd >= 0 {
		return send(c.fd, b)
	}
	return c.writer.write(b)
}

// write gives bytes to the socket and returns how many it took.
func (c *conn) write(b []byte, now time.Duration) (int, outcome) {
	n, err := c.put(b)
	if err != nil {
		c.timedOut = errors.Is(err, syscall.ETIMEDOUT)
		return n, gone
	}
	if n > 0 || !c.blocked {
		c.lastWrite = now
	}
	if c.blocked = n < len(b); c.blocked {
		return n, blocked
	}
	return n, writable
}

// send sends a frame that must be complete before anything else is sent. Nothing of
// another frame may be left.
func (c *conn) send(frame []byte, now time.Duration) outcome {
	n, outcome := c.write(frame, now)
	if outcome == blocked {
		c.rest = frame[n:]
	}
	return outcome
}

// sendUpdate sends an update unless the client has it. If nothing of the frame was
// sent, it is not kept: by the time the socket takes bytes again there may be a newer
// one. buf is memory that a frame may use.
func (c *conn) sendUpdate(sub *Subscription, u *odds.Update, now time.Duration, buf *[]byte) outcome {
	if u == nil || !u.Newer(sub.Life, sub.LastSent) {
		return writable
	}
	if u.MembersOnly && !c.forMembers {
		return finished // another raffle has the id now: the client comes back, and is asked who it is
	}
	frame, isShared := c.encoded(sub, u, buf)
	n, outcome := c.write(frame, now)
	switch {
	case outcome == gone:
		return gone
	case n == 0:
		c.lagging = true
		return blocked
	}
	sub.noteSent(u)
	sub.topic.written++
	if outcome == blocked {
		c.keep(frame[n:], isShared)
		return blocked
	}
	if u.Final && c.isFinal() {
		return finished
	}
	return writable
}

// resume sends what is left: of a frame, of the backlog, and the newest update of
// each raffle whose newest the client lacks. It returns how many of the latter were
// sent. buf is memory that a backlog may use.
func (c *conn) resume(now time.Duration, buf *[]byte) (delivered int, _ outcome) {
	if outcome := c.flush(now, buf); outcome != writable {
		return 0, outcome
	}
	if c.isFinal() {
		return 0, finished
	}
	lagging := c.lagging
	c.lagging = false
	n := len(c.subs)
	for i := 0; lagging && i < n; i++ {
		at := (int(c.turn) + i) % n
		sub := &c.subs[at]
		before := sub.topic.written
		outcome := c.sendUpdate(sub, sub.topic.conflation.current, now, buf)
		delivered += sub.topic.written - before
		if outcome != writable {
			c.lagging, c.turn = true, uint8((at+1)%n)
			return delivered, outcome
		}
	}
	c.blocked = false
	return delivered, writable
}

// isFinal reports whether none of its raffles will have another update.
func (c *conn) isFinal() bool {
	for i := range c.subs {
		if !c.subs[i].Final {
			return false
		}
	}
	return true
}
