package api

import (
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
	clients           map[netip.Addr]int
}

func newAdmission(limit, perClient int) admission {
	return admission{max: limit, maxPerClient: perClient, mu: new(sync.Mutex), clients: make(map[netip.Addr]int)}
}

// admit counts a client's connection in, unless there are too many.
func (a *admission) admit(client netip.Addr) *httpError {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case a.max > 0 && a.open >= a.max:
		return unavailable("connections", "this instance has all the connections that it may have: try again shortly")
	case a.maxPerClient > 0 && a.clients[client] >= a.maxPerClient:
		return &httpError{
			status: http.StatusTooManyRequests, code: "RESOURCE_EXHAUSTED", reason: "client_connections", retryAfter: soon,
			message: fmt.Sprintf("your address has %d connections open, which is as many as it may have", a.maxPerClient),
		}
	}
	a.open++
	if a.maxPerClient > 0 {
		a.clients[client]++
	}
	return nil
}

// release counts a connection out.
func (a *admission) release(client netip.Addr) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.open--
	if a.clients[client]--; a.clients[client] <= 0 {
		delete(a.clients, client)
	}
}

// client returns whose connection a request came on: the nearest address that is
// no trusted proxy. Of IPv6 the network counts (/64), which one client has to
// itself.
func (a *API) client(r *http.Request) netip.Addr {
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
	if addr.Is6() {
		network, _ := addr.Prefix(64) // fails for other lengths only
		return network.Addr()
	}
	return addr
}

func (a *API) trusted(addr netip.Addr) bool {
	return slices.ContainsFunc(a.cfg.Proxies, func(p netip.Prefix) bool { return p.Contains(addr) })
}
