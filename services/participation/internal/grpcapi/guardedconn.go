package grpcapi

import (
	"net"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/http2"
)

// guardedConn reads the frames that come on a connection, and ends it if they are not
// those of a caller. One goroutine reads at a time.
type guardedConn struct {
	net.Conn
	guard *Guard
	from  *source

	open   atomic.Int64 // calls that wait for the rest of their requests
	closed sync.Once

	balance int64  // what its own calls have earned, less what its other frames cost
	data    int64  // frames that were parts of requests
	read    frames // those that come
	held    []byte // what has come, and was not read yet
	ages    ages

	// What was written, as far as it has earned nothing yet.
	written atomic.Int64 // bytes
	answers atomic.Int64 // messages
	sent    frames       // one goroutine writes at a time
}

// Read implements net.Conn.
func (c *guardedConn) Read(p []byte) (n int, err error) {
	if len(c.held) == 0 {
		n, err = c.receive(p)
		if err != nil || !c.isHalfOpen() {
			return n, err
		}
		if err := c.hold(p[:n]); err != nil {
			return 0, err
		}
	}
	n = copy(p, c.held)
	if c.held = c.held[n:]; len(c.held) == 0 {
		c.held = nil
	}
	return n, nil
}

// receive reads what comes next, and notes its frames.
func (c *guardedConn) receive(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 {
		if flood := c.watch(p[:n]); flood != nil {
			return 0, flood
		}
	}
	return n, err
}

// begin waits for the first frames, before anything else is done for the connection: one
// that begins with a flood costs no more than to read it. Clients begin, and wait for nothing
// before (https://www.rfc-editor.org/rfc/rfc9113#section-3.4).
func (c *guardedConn) begin() error {
	first := make([]byte, firstRead)
	n, err := c.receive(first)
	switch {
	case err != nil:
		return err
	case c.guard.isBanned(c.from): // meanwhile
		return errBanned
	case c.isHalfOpen():
		return c.hold(first[:n])
	}
	c.held = first[:n]
	return nil
}

// isHalfOpen reports whether more calls have begun than there is data of requests, and many.
func (c *guardedConn) isHalfOpen() bool {
	open := c.open.Load()
	return open > shareHalfOpen && open > c.data
}

// hold keeps calls from being served, each of which takes a goroutine, before their requests
// come: those of a caller follow at once. It is no error if they don't come within a while,
// or have not when a bound is reached.
func (c *guardedConn) hold(data []byte) error {
	c.held = append(make([]byte, 0, maxHeld), data...)
	_ = c.SetReadDeadline(time.Now().Add(longestHold)) // an error is one of reading, too
	defer func() { _ = c.SetReadDeadline(time.Time{}) }()
	for c.isHalfOpen() {
		have := len(c.held)
		switch {
		case have >= maxHeld:
			return nil
		case c.guard.isBanned(c.from):
			return errBanned
		}
		n, err := c.Conn.Read(c.held[have:maxHeld])
		c.held = c.held[:have+n]
		if flood := c.watch(c.held[have:]); flood != nil {
			return flood
		}
		if err != nil { // the next Read returns it, unless it is that of the deadline
			return nil
		}
	}
	return nil
}

// Write implements net.Conn.
func (c *guardedConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.written.Add(int64(n))
	c.answers.Add(c.sent.messages(p[:n]))
	return n, err
}

// Close implements net.Conn.
func (c *guardedConn) Close() error {
	c.closed.Do(func() { c.guard.leave(c) })
	return c.Conn.Close()
}

// watch notes the frames that have come.
func (c *guardedConn) watch(data []byte) error {
	for {
		rest, whole := c.read.next(data)
		if !whole {
			return nil
		}
		if err := c.frame(http2.FrameType(c.read.header[3]), http2.Flags(c.read.header[4])); err != nil {
			return err
		}
		data = rest
	}
}

// frame notes a frame.
func (c *guardedConn) frame(kind http2.FrameType, flags http2.Flags) error {
	switch kind {
	case http2.FrameHeaders:
		if flags.Has(http2.FlagHeadersEndStream) {
			return c.spend(resetCosts) // there is no such call
		}
		return c.opened()
	case http2.FrameData:
		switch {
		case flags.Has(http2.FlagDataEndStream):
			c.data++
			c.earn(callEarns)
			c.completed()
		case c.read.skip >= leastData:
			c.data++
			c.earn(dataEarns)
		default:
			return c.spend(1)
		}
	case http2.FrameRSTStream:
		c.completed()
		if c.ages.lasted(c.read.stream(), time.Now()) {
			return c.spend(callEarns)
		}
		return c.spend(resetCosts)
	case http2.FramePing, http2.FrameSettings:
		if flags.Has(http2.FlagPingAck) { // which is the flag of settings, too
			return c.spend(1)
		}
		return c.spend(pingCosts)
	default:
		return c.spend(1)
	}
	return nil
}

// opened counts a call whose request is not complete.
func (c *guardedConn) opened() error {
	c.ages.opened(c.read.stream(), time.Now())
	all, own := c.guard.halfOpen.Add(1), c.open.Add(1)
	if all > maxHalfOpen && own > shareHalfOpen || all > mostHalfOpen && own > c.data {
		_ = c.spend(halfOpenCosts)
		return errHalfOpen
	}
	if own > maxStreams {
		if own > c.data {
			_ = c.spend(crowdCosts)
			return errHalfOpen
		}
		return c.spend(callCosts)
	}
	return nil
}

// completed ends the count of a call whose request is complete or given up.
func (c *guardedConn) completed() {
	if c.open.Load() > 0 {
		c.open.Add(-1)
		c.guard.halfOpen.Add(-1)
	}
}

// earn adds to the credit of the address; concurrent connections may exceed its bound by
// a little.
func (c *guardedConn) earn(n int64) {
	n = min(n, maxCredit)
	c.balance = min(c.balance+n, maxCredit)
	if c.from.credit.Load() < maxCredit {
		c.from.credit.Add(n)
	}
}

func (c *guardedConn) spend(n int64) error {
	c.balance = max(c.balance-n, -maxCredit)
	if c.from.credit.Add(-n) >= 0 || c.balance >= -grace {
		return nil
	}
	c.earn(c.written.Swap(0)/bytesPerCredit + c.answers.Swap(0)*answerEarns)
	return c.guard.overdrawn(c.from)
}
