// Package accept bounds the connections that a port takes, before anything else is done
// for them: a connection that is refused is closed at once, which costs less than a TLS
// handshake or a request. A client that waited in the kernel's queue instead would not
// try another instance.
package accept

import (
	"net"
	"net/http"
	"net/netip"
	"slices"
	"sync/atomic"

	"github.com/rafflecast/rafflecast/services/internal/ratelimit"
)

// Why connections are refused, as metrics name it.
const (
	TooMany = "too_many" // are open, in all or of one address
	TooFast = "too_fast" // come from one address
	Banned  = "banned"   // is their address, for a while
	// Dropped counts addresses, not connections: for a while the kernel drops their SYN packets.
	Dropped = "dropped"
)

// Reasons are all reasons.
func Reasons() []string { return []string{TooMany, TooFast, Banned, Dropped} }

// Config says what is bounded. Its functions may be called concurrently.
type Config struct {
	// Limit bounds the open connections: those that OnState counts, and those that Others
	// returns, if it is set (one that is in both counts twice). 0 means no bound.
	Limit  int
	Others func() int
	// PerSecond bounds the new connections of one address (of IPv6: one /64), of which
	// those of three seconds may come at once. 0 means no bound. The networks in Trusted
	// are not bounded: a proxy has the connections of many.
	PerSecond int
	Trusted   []netip.Prefix
	// Refuse, if set, returns why an address may not connect, or "".
	Refuse func(netip.Addr) (reason string)
	// WriteBuffer is about how much the kernel buffers for a client that does not read, in
	// bytes. 0 means that the kernel decides.
	WriteBuffer int
	// Refused, if set, is called with the reason of each connection that is refused, and with
	// Dropped for each address whose SYN packets the kernel will drop.
	Refused func(reason string)
	// Failed, if set, is called with each error by which no connection can be accepted, such
	// as a lack of files, other than that the listener is closed. net/http logs these by
	// itself.
	Failed func(error)
}

// Bounds bounds the connections of a port. Its methods are safe for concurrent use.
type Bounds struct {
	cfg      Config
	rate     *ratelimit.Limiter[netip.Addr]
	refusals *ratelimit.Limiter[netip.Addr]
	frequent *ratelimit.Limiter[netip.Addr]
	filter   atomic.Pointer[synFilter] // nil: there is none
	open     atomic.Int64
}

// New returns bounds that know of no connection.
func New(cfg Config) *Bounds {
	return &Bounds{
		cfg:      cfg,
		rate:     ratelimit.PerSecond[netip.Addr](float64(cfg.PerSecond), 3*cfg.PerSecond),
		refusals: ratelimit.PerSecond[netip.Addr](refusedPerSecond, 3*refusedPerSecond),
		frequent: ratelimit.PerSecond[netip.Addr](float64(cfg.PerSecond)/50, max(1, cfg.PerSecond/10)),
	}
}

// OnState counts the connections of a server. It is for http.Server.ConnState.
func (b *Bounds) OnState(_ net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		b.open.Add(1)
	case http.StateHijacked, http.StateClosed:
		b.open.Add(-1)
	case http.StateActive, http.StateIdle:
	}
}

// refusal returns why a connection from an address is refused, or "".
func (b *Bounds) refusal(address netip.Addr) string {
	if b.isBounded(address) {
		if _, ok := b.rate.Allow(address); !ok {
			return TooFast
		}
	}
	if b.IsFull() {
		return TooMany
	}
	if b.cfg.Refuse != nil {
		if reason := b.cfg.Refuse(address); reason != "" {
			return reason
		}
	}
	return ""
}

// refused notes that a connection from an address was refused.
func (b *Bounds) refused(address netip.Addr, reason string) {
	if b.cfg.Refused != nil {
		b.cfg.Refused(reason)
	}
	filter := b.filter.Load()
	if filter == nil || reason == TooMany || !address.IsValid() || b.isTrusted(address) {
		return
	}
	if reason != Banned { // for which it has been a flood already
		if _, ok := b.refusals.Allow(address); ok {
			return
		}
	}
	if filter.drop(address) && b.cfg.Refused != nil {
		b.cfg.Refused(Dropped)
	}
}

// Allows reports whether the rate of an address like 192.0.2.1:80 allows another
// connection, and counts it. It is for connections that are served before they reach a
// listener of these bounds, and that never do.
func (b *Bounds) Allows(remote string) bool {
	address := NetworkOf(remote)
	if !b.isBounded(address) {
		return true
	}
	_, ok := b.rate.Allow(address)
	if !ok {
		b.refused(address, TooFast)
	}
	return ok
}

// IsFrequent reports whether an address like 192.0.2.1:80 connects often, though it may: a
// fiftieth of its rate, of which those of five seconds may come at once. It counts a
// connection.
func (b *Bounds) IsFrequent(remote string) bool {
	address := NetworkOf(remote)
	if !b.isBounded(address) {
		return false
	}
	_, ok := b.frequent.Allow(address)
	return !ok
}

// IsBounded reports whether the rate of an address like 192.0.2.1:80 is bounded: that of a
// trusted proxy is not.
func (b *Bounds) IsBounded(remote string) bool { return b.isBounded(NetworkOf(remote)) }

// IsFull reports whether no more connections may be open.
func (b *Bounds) IsFull() bool {
	open := int(b.open.Load())
	if b.cfg.Others != nil {
		open += b.cfg.Others()
	}
	return b.cfg.Limit > 0 && open >= b.cfg.Limit
}

// isBounded reports whether the new connections of an address are bounded.
func (b *Bounds) isBounded(address netip.Addr) bool { return b.rate != nil && !b.isTrusted(address) }

func (b *Bounds) isTrusted(address netip.Addr) bool {
	return slices.ContainsFunc(b.cfg.Trusted, func(network netip.Prefix) bool { return network.Contains(address) })
}

// Network returns what is counted together of a connection's address: the address, or of
// IPv6 its network (/64). All that can't be read share the zero address.
func Network(remote net.Addr) netip.Addr {
	if tcp, ok := remote.(*net.TCPAddr); ok {
		return network(tcp.AddrPort())
	}
	if remote == nil {
		return netip.Addr{}
	}
	return NetworkOf(remote.String())
}

// NetworkOf is Network of an address as text, like 192.0.2.1:80.
func NetworkOf(text string) netip.Addr {
	at, err := netip.ParseAddrPort(text)
	if err != nil {
		return netip.Addr{}
	}
	return network(at)
}

func network(at netip.AddrPort) netip.Addr {
	address := at.Addr().Unmap().WithZone("")
	if address.Is6() {
		prefix, _ := address.Prefix(64) // it has so many bits
		return prefix.Addr()
	}
	return address
}

// FilesLimit returns how many connections may be open if the process may open so many
// files: some are kept back for the operations port and the connections to other
// services. 0 means no limit.
func FilesLimit() int { return filesLimit(OpenFiles()) }

func filesLimit(files int) int {
	if files == 0 {
		return 0
	}
	return max(1, files-max(64, files/20))
}
