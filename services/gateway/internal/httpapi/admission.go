package httpapi

import (
	"encoding/binary"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
)

// admission counts open connections, in all and by client, and refuses what
// would be too many. None is ever closed to make room.
type admission struct {
	max, maxPerClient int
	mu                *sync.Mutex
	open              int
	clients           map[client]int
}

// client is whose connections are counted together, in eight bytes: an IPv4
// address, or an IPv6 network (/64). The two can't be taken for each other, since
// networks that begin with four zero bytes are given to nobody (RFC 4291).
//
// As long as it is a word, Go clears a map of what deleted keys leave behind. With
// a netip.Addr (Go 1.26) it makes the map twice as large instead, as clients come
// and go.
type client uint64

func clientAt(addr netip.Addr) client {
	if addr.Is4() {
		b := addr.As4()
		return client(binary.BigEndian.Uint32(b[:]))
	}
	b := addr.As16() // zeros where it is not valid
	return client(binary.BigEndian.Uint64(b[:8]))
}

func newAdmission(limit, perClient int) admission {
	return admission{max: limit, maxPerClient: perClient, mu: new(sync.Mutex), clients: make(map[client]int)}
}

// admit counts a client's connection in, unless there are too many.
func (a *admission) admit(c client) *httpError {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case a.max > 0 && a.open >= a.max:
		return unavailable("connections", "this instance has all the connections that it may have: try again shortly")
	case a.maxPerClient > 0 && a.clients[c] >= a.maxPerClient:
		return &httpError{
			status: http.StatusTooManyRequests, code: "RESOURCE_EXHAUSTED", reason: "client_connections", retryAfter: soon,
			message: fmt.Sprintf("your address has %d connections open, which is as many as it may have", a.maxPerClient),
		}
	}
	a.open++
	if a.maxPerClient > 0 {
		a.clients[c]++
	}
	return nil
}

// release counts a connection out.
func (a *admission) release(c client) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.open--
	if a.clients[c]--; a.clients[c] <= 0 {
		delete(a.clients, c)
	}
}

// clientOf returns whose connection a request came on: the nearest address that is
// no trusted proxy. Of IPv6 the network counts, which one client has to itself.
func (a *API) clientOf(r *http.Request) client { return clientAt(a.address(r)) }

// address returns the nearest address that is no trusted proxy.
func (a *API) address(r *http.Request) netip.Addr {
	remote, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{} // in-memory connections count as one client
	}
	addr := remote.Addr().Unmap()
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for _, hop := range slices.Backward(hops) {
		if !a.trusted(addr) {
			break
		}
		next, err := netip.ParseAddr(strings.TrimSpace(hop))
		if err != nil {
			break
		}
		addr = next.Unmap().WithZone("")
	}
	return addr
}

func (a *API) trusted(addr netip.Addr) bool {
	return slices.ContainsFunc(a.cfg.Proxies, func(p netip.Prefix) bool { return p.Contains(addr) })
}
