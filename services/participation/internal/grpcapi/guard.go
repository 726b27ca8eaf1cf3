package grpcapi

import (
	"errors"
	"maps"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/http2"
	"google.golang.org/grpc/credentials"

	"github.com/rafflecast/rafflecast/services/internal/accept"
)

// What one connection may do beside calls. gRPC's own bounds are of streams and of pings
// between which there is nothing else; a peer may send settings and cancelled calls as
// fast as it can, on as many connections as it likes.
const (
	// firstCredit is how many frames that are no part of a call may come at once from an
	// address that has made no calls yet, and creditPerSecond how many more each second.
	// maxCredit is how much of what its calls earn an address may keep: a caller that gives
	// up a thousand calls at once stays within it.
	firstCredit     = 200
	creditPerSecond = 100
	maxCredit       = 20_000
	// A complete call earns what its pings and window updates need; one beyond maxStreams
	// that wait for their requests costs something. To cancel a call at once costs more than
	// it has earned: a flood of cancelled calls may send their requests, too. Pings and
	// settings must be answered; other frames, such as window updates, cost 1, and what is
	// written earns as much.
	callCosts, callEarns, dataEarns, resetCosts, pingCosts = 1, 10, 2, 15, 5
	bytesPerCredit                                         = 4096
	// answerEarns is what a message earns that is written to the caller, such as the answer
	// to an entry of a stream: gRPC for Go follows each with a ping, by which it measures the
	// connection, and with a window update.
	answerEarns = pingCosts + 1
	// lasting is how long a call has been under way that was given up, rather than opened to
	// be cancelled. It costs what it has earned: so many can't be under way that to give up
	// all of them is a flood, and callers must be able to while nothing answers.
	lasting = 100 * time.Millisecond
	// halfOpenCosts is what a connection costs that is closed because of half-open calls. An
	// address that comes back a second later has got as much again.
	halfOpenCosts = creditPerSecond
	// crowdCosts is what it costs to begin more calls than a connection may have, and to send
	// less data than that: more than an address has that has made no calls yet.
	crowdCosts = 3 * firstCredit
	// leastData is the size of the beginning of a message in bytes. Smaller pieces of a
	// request earn nothing.
	leastData = 5
	// grace is how many frames may come on a connection beyond those that its own calls
	// earn before the debts of its address count for it: callers that share their address
	// with a flood keep their connections.
	grace = 32
	// banned is how long an address may not connect after it was a flood, or else it would
	// begin anew at once. Each time that it is a flood again, the ban is twice as long,
	// until forgiven has passed.
	banned   = 10 * time.Second
	maxBans  = 5 // that count: 320 s
	forgiven = 10 * time.Minute
	// maxHalfOpen is how many calls of all connections may wait for the rest of their
	// request, some 12 KB each. Beyond it, a connection with more than its share of them is
	// closed, and beyond mostHalfOpen every connection on which less data has come than it
	// has such calls.
	maxHalfOpen   = 1500
	shareHalfOpen = 64
	mostHalfOpen  = 2 * maxHalfOpen
	// firstRead and maxHeld are how many bytes of a connection are looked at before it is
	// served, and of calls without requests before these are; longestHold is for how long.
	// maxHeld has the headers of maxStreams calls.
	firstRead   = 4 << 10
	maxHeld     = 128 << 10
	longestHold = time.Second
	// maxSources bounds how many addresses are remembered that are not connected.
	maxSources = 10_000
)

var (
	errTooMany  = errors.New("too many connections")
	errBanned   = errors.New("this address was a flood a moment ago")
	errFlood    = errors.New("too many HTTP/2 frames that are no part of a call")
	errHalfOpen = errors.New("too many calls without their requests")
)

// Guard bounds connections. Its methods are safe for concurrent use.
type Guard struct {
	// OnBanned, if set, is called with each address (of IPv6: /64) that is banned, and for
	// how long. It must be set before any method is called, and must not block.
	OnBanned func(address netip.Addr, lasts time.Duration)

	limit, perAddress int

	halfOpen atomic.Int64 // calls of all connections

	mu      sync.Mutex
	conns   int
	sources map[netip.Addr]*source
}

// source is an address.
type source struct {
	address netip.Addr
	credit  atomic.Int64

	// The guard's mutex guards what follows.
	conns  int
	at     time.Time // when credit was last added
	banned time.Time // until then
	bans   int
}

// NewGuard returns a guard that bounds the connections in all, and those of one address
// (of IPv6: one /64). 0 means no bound.
func NewGuard(limit, perAddress int) *Guard {
	return &Guard{limit: limit, perAddress: perAddress, sources: map[netip.Addr]*source{}}
}

// Refuse returns why an address may not connect, in the words of accept, or "". It is
// asked before anything is done for a connection.
func (g *Guard) Refuse(address netip.Addr) (reason string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.refuse(address, time.Now())
}

func (g *Guard) refuse(address netip.Addr, now time.Time) (reason string) {
	from := g.sources[address]
	switch {
	case g.limit > 0 && g.conns >= g.limit:
		return accept.TooMany
	case from == nil:
		return ""
	case now.Before(from.banned):
		return accept.Banned
	case g.perAddress > 0 && from.conns >= g.perAddress:
		return accept.TooMany
	}
	return ""
}

// admit returns a connection with its bounds, or an error if its address has too many, or
// was a flood.
func (g *Guard) admit(c net.Conn) (*guardedConn, error) {
	address := accept.Network(c.RemoteAddr())
	now := time.Now()
	g.mu.Lock()
	defer g.mu.Unlock()
	switch g.refuse(address, now) {
	case accept.TooMany:
		return nil, errTooMany
	case accept.Banned:
		return nil, errBanned
	}
	from := g.sources[address]
	if from == nil {
		if len(g.sources) >= maxSources {
			g.forget(now)
		}
		from = &source{address: address, at: now}
		from.credit.Store(firstCredit)
		g.sources[address] = from
	}
	from.conns++
	g.conns++
	return &guardedConn{Conn: c, guard: g, from: from, read: frames{skip: len(http2.ClientPreface)}}, nil
}

// isBanned reports whether an address may not connect.
func (g *Guard) isBanned(from *source) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return time.Now().Before(from.banned)
}

// forget forgets addresses that are not connected: those that are not banned, or if that
// does not help, all.
func (g *Guard) forget(now time.Time) {
	maps.DeleteFunc(g.sources, func(_ netip.Addr, s *source) bool { return s.conns == 0 && !now.Before(s.banned) })
	if len(g.sources) >= maxSources {
		maps.DeleteFunc(g.sources, func(_ netip.Addr, s *source) bool { return s.conns == 0 })
	}
}

// leave ends the count of a connection.
func (g *Guard) leave(c *guardedConn) {
	g.halfOpen.Add(-c.open.Swap(0))
	g.mu.Lock()
	defer g.mu.Unlock()
	c.from.conns--
	g.conns--
}

// overdrawn adds what an address has been due since the last time, and returns an error
// if that is not enough. Then the address is banned for a while.
func (g *Guard) overdrawn(from *source) error {
	isFlood, lasts := g.charge(from, time.Now())
	if lasts > 0 && g.OnBanned != nil {
		g.OnBanned(from.address, lasts)
	}
	if isFlood {
		return errFlood
	}
	return nil
}

// charge is overdrawn without the error. It returns how long the address is banned from now
// on, or 0 if it is not banned, or was before.
func (g *Guard) charge(from *source, now time.Time) (isFlood bool, lasts time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case now.Before(from.banned):
		return true, 0 // another connection has seen to it
	case now.Sub(from.banned) > forgiven:
		from.bans = 0
	}
	more := int64(now.Sub(from.at).Seconds() * creditPerSecond)
	from.at = now
	if from.credit.Add(min(more, firstCredit)) >= 0 {
		return false, 0
	}
	lasts = banned << from.bans
	from.banned = now.Add(lasts)
	from.bans = min(from.bans+1, maxBans)
	from.credit.Store(0)
	return true, lasts
}

// guardedCredentials are the TLS of connections from outside, or none, and the bounds of
// what comes on them. Connections in memory need neither.
type guardedCredentials struct {
	credentials.TransportCredentials
	guard *Guard
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
	if err := guarded.begin(); err != nil {
		_ = guarded.Close()
		return nil, nil, err
	}
	return guarded, info, nil
}
