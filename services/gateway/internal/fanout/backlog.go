package fanout

import (
	"time"

	"github.com/rafflecast/rafflecast/services/gateway/internal/odds"
)

// backlog is what a client has missed: updates that are sent before live ones. Many
// connections may share the slice, and all share the frames.
type backlog struct{ updates []*odds.Update }

// A backlog is copied into larger writes, so that it does not take a system call per
// update. A socket is done with the bytes when the write returns, so a shard uses the
// same memory for all. A handler keeps them for a while, so it gets memory of its own.
//
// With several raffles an update is encoded for the connection, and what the socket
// does not take of a batch is kept. So that is small.
const (
	socketBatch  = 64 << 10
	handlerBatch = 16 << 10
	severalBatch = 8 << 10
)

// flush sends the rest of a frame and then the backlog.
func (c *conn) flush(now time.Duration, buf *[]byte) outcome {
	for c.backlog != nil && len(c.subs) > 1 {
		b := c.compose(buf)
		n, outcome := c.write(b, now)
		if outcome == gone {
			return gone
		}
		c.keep(b[n:], false)
		if outcome != writable {
			return outcome
		}
	}
	for c.backlog != nil {
		n, outcome := c.write(c.batch(buf), now)
		if outcome == gone {
			return gone
		}
		c.advance(n)
		if outcome != writable {
			return outcome
		}
	}
	if len(c.rest) == 0 {
		return writable
	}
	n, outcome := c.write(c.rest, now)
	c.rest = c.rest[n:]
	if len(c.rest) == 0 {
		c.rest = nil
	}
	return outcome
}

// batch is for a connection with one raffle. It returns the rest of a frame and as many
// whole frames of the backlog as fit, at least one.
func (c *conn) batch(buf *[]byte) []byte {
	size := socketBatch
	if c.fd < 0 {
		buf, size = new([]byte), handlerBatch
	}
	b := (*buf)[:0]
	b = append(b, c.rest...)
	for i, u := range c.backlog.updates {
		if i > 0 && len(b)+len(u.Frame) > size {
			break
		}
		b = append(b, u.Frame...)
	}
	*buf = b
	return b
}

// compose is batch for a connection with several raffles. The updates leave the backlog
// and count as sent: what the socket does not take is kept and sent first.
func (c *conn) compose(buf *[]byte) []byte {
	if c.fd < 0 {
		buf = new([]byte)
	}
	b := (*buf)[:0]
	b = append(b, c.rest...)
	for first := true; c.backlog != nil && (first || len(b) < severalBatch); first = false {
		u := c.backlog.updates[0]
		sub := c.subscription(u.RaffleID)
		b = c.appendUpdate(b, sub, u)
		sub.noteSent(u)
		c.drop()
	}
	c.rest = nil
	*buf = b
	return b
}

// drop drops the first update of the backlog.
func (c *conn) drop() {
	c.backlog.updates = c.backlog.updates[1:]
	if len(c.backlog.updates) == 0 {
		c.backlog = nil
	}
}

// subscription returns the subscription to a raffle of the connection.
func (c *conn) subscription(raffleID int64) *Subscription {
	for i := range c.subs {
		if c.subs[i].RaffleID == raffleID {
			return &c.subs[i]
		}
	}
	return nil
}

// advance records that n bytes of a batch were sent. The rest of a frame that was
// sent in part is kept by reference.
func (c *conn) advance(n int) {
	if n < len(c.rest) {
		c.rest = c.rest[n:]
		return
	}
	n -= len(c.rest)
	c.rest = nil
	for n > 0 {
		u := c.backlog.updates[0]
		c.drop()
		c.subs[0].noteSent(u)
		if n < len(u.Frame) {
			c.rest = u.Frame[n:]
		}
		n -= min(n, len(u.Frame))
	}
}
