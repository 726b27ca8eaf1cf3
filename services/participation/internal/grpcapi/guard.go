package grpcapi

import (
	"encoding/binary"
	"errors"
	"maps"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/http2"
	"google.golang.org/grpc/credentials"
)

// What one connection may do beside calls. gRPC's own bounds are of streams and of pings
// between which there is nothing else; a peer may send settings and cancelled calls as
// fast as it can, on as many connections as it likes.
const (
	// maxCredit is how many frames that are no part of a call may come at once from one
	// address, beyond those that its calls earn, and creditPerSecond how many more each
	// second. A caller that gives up a thousand calls at once stays within it.
	maxCredit       = 5000
	creditPerSecond = 500
	// A call costs something until its request is there, and a complete one earns what its
	// pings and window updates need. A cancelled one costs more.
	callCosts, callEarns, dataEarns, resetCosts = 1, 5, 2, 3
	// banned is how long an address may not connect after it was a flood: or else it would
	// begin anew at once.
	banned = 10 * time.Second
	// maxHalfOpen is how many calls of all connections may wait for the rest of their
	// request, some 12 KB each. Beyond it, a connection with more than its share of them is
	// closed.
	maxHalfOpen   = 4000
	shareHalfOpen = 64
	// maxSources bounds how many addresses are remembered that are not connected.
	maxSources = 10_000
)

var (
	errTooMany  = errors.New("too many connections of this address")
	errBanned   = errors.New("this address was a flood a moment ago")
	errFlood    = errors.New("too many HTTP/2 frames that are no part of a call")
	errHalfOpen = errors.New("too many calls without their requests")
)

// guard bounds connections. Its methods are safe for concurrent use.
type guard struct {
	perAddress int // connections of one address (of IPv6: one /64); 0 means no bound

	halfOpen atomic.Int64 // calls of all connections

	mu      sync.Mutex
	sources map[netip.Addr]*source
}

// source is an address.
type source struct {
	credit atomic.Int64

	// The guard's mutex guards what follows.
	conns  int
	at     time.Time // when credit was last added
	banned time.Time // until then
}

func newGuard(perAddress int) *guard {
	return &guard{perAddress: perAddress, sources: map[netip.Addr]*source{}}
}

// admit returns a connection with its bounds, or an error if its address has too many, or
// was a flood.
func (g *guard) admit(c net.Conn) (*guardedConn, error) {
	address := networkOf(c.RemoteAddr().String())
	now := time.Now()
	g.mu.Lock()
	defer g.mu.Unlock()
	from := g.sources[address]
	if from == nil {
		if len(g.sources) >= maxSources {
			maps.DeleteFunc(g.sources, func(_ netip.Addr, s *source) bool { return s.conns == 0 })
		}
		from = &source{at: now}
		from.credit.Store(maxCredit)
		g.sources[address] = from
	}
	switch {
	case now.Before(from.banned):
		return nil, errBanned
	case g.perAddress > 0 && from.conns >= g.perAddress:
		return nil, errTooMany
	}
	from.conns++
	return &guardedConn{Conn: c, guard: g, from: from, skip: len(http2.ClientPreface)}, nil
}

// leave ends the count of a connection.
func (g *guard) leave(c *guardedConn) {
	g.halfOpen.Add(-c.open.Swap(0))
	g.mu.Lock()
	defer g.mu.Unlock()
	c.from.conns--
}

// overdrawn adds what an address has been due since the last time, and returns an error
// if that is not enough. Then the address is banned for a while.
func (g *guard) overdrawn(from *source) error {
	now := time.Now()
	g.mu.Lock()
	defer g.mu.Unlock()
	more := int64(now.Sub(from.at).Seconds() * creditPerSecond)
	from.at = now
	if from.credit.Add(min(more, maxCredit)) >= 0 {
		return nil
	}
	from.banned = now.Add(banned)
	return errFlood
}

// guardedConn reads the frames that come on a connection, and ends it if they are not
// those of a caller. One goroutine reads at a time.
type guardedConn struct {
	net.Conn
	guard *guard
	from  *source

	open   atomic.Int64 // calls that wait for the rest of their requests
	closed sync.Once

	skip   int     // bytes until the next frame
	header [9]byte // of the next frame
	have   int     // bytes of header
}

// Read implements net.Conn.
func (c *guardedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 {
		if flood := c.watch(p[:n]); flood != nil {
			return 0, flood
		}
	}
	return n, err
}

// Close implements net.Conn.
func (c *guardedConn) Close() error {
	c.closed.Do(func() { c.guard.leave(c) })
	return c.Conn.Close()
}

// watch follows the frames of HTTP/2 (https://www.rfc-editor.org/rfc/rfc9113#section-4.1).
func (c *guardedConn) watch(data []byte) error {
	for len(data) > 0 {
		if c.skip > 0 {
			n := min(c.skip, len(data))
			c.skip -= n
			data = data[n:]
			continue
		}
		n := copy(c.header[c.have:], data)
		c.have += n
		data = data[n:]
		if c.have < len(c.header) {
			return nil
		}
		c.have = 0
		c.skip = int(binary.BigEndian.Uint32(c.header[:4]) >> 8)
		if err := c.frame(http2.FrameType(c.header[3]), http2.Flags(c.header[4])); err != nil {
			return err
		}
	}
	return nil
}

// frame notes a frame.
func (c *guardedConn) frame(kind http2.FrameType, flags http2.Flags) error {
	switch kind {
	case http2.FrameHeaders:
		if flags.Has(http2.FlagHeadersEndStream) {
			return c.spend(callCosts) // there is no such call
		}
		if err := c.opened(); err != nil {
			return err
		}
		return c.spend(callCosts)
	case http2.FrameData:
		switch {
		case flags.Has(http2.FlagDataEndStream):
			c.earn(callEarns)
			c.completed()
		case c.skip > 0:
			c.earn(dataEarns)
		default: // an empty frame
			return c.spend(1)
		}
	case http2.FrameRSTStream:
		c.completed()
		return c.spend(resetCosts)
	default:
		return c.spend(1)
	}
	return nil
}

// opened counts a call whose request is not complete.
func (c *guardedConn) opened() error {
	if all, own := c.guard.halfOpen.Add(1), c.open.Add(1); all > maxHalfOpen && own > shareHalfOpen {
		return errHalfOpen
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
	if c.from.credit.Load() < maxCredit {
		c.from.credit.Add(n)
	}
}

func (c *guardedConn) spend(n int64) error {
	if c.from.credit.Add(-n) >= 0 {
		return nil
	}
	return c.guard.overdrawn(c.from)
}

// guardedCredentials are the TLS of connections from outside, or none, and the bounds of
// what comes on them. Connections in memory need neither.
type guardedCredentials struct {
	credentials.TransportCredentials
	guard *guard
}

// ServerHandshake implements credentials.TransportCredentials.
func (c guardedCredentials) ServerHandshake(raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	if isInMemory(raw.RemoteAddr()) {
		return inMemoryCredentials.ServerHandshake(raw)
	}
	guarded, err := c.guard.admit(raw)
	if err != nil {
		return nil, nil, err
	}
	conn, info, err := c.TransportCredentials.ServerHandshake(raw)
	if err != nil {
		_ = guarded.Close()
		return nil, nil, err
	}
	guarded.Conn = conn // what it reads is not encrypted
	return guarded, info, nil
}

// networkOf returns what is counted together of an address like 192.0.2.1:80: the
// address, or of IPv6 its network (/64). All that can't be read share the zero address.
func networkOf(text string) netip.Addr {
	at, err := netip.ParseAddrPort(text)
	if err != nil {
		return netip.Addr{}
	}
	address := at.Addr().Unmap().WithZone("")
	if address.Is6() {
		network, _ := address.Prefix(64) // it has so many bits
		return network.Addr()
	}
	return address
}
