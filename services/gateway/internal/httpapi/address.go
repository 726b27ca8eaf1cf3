package httpapi

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// clientOf returns the client whose connection a request came on.
func (a *API) clientOf(r *http.Request) client { return clientAt(a.clientAddress(r)) }

// clientAddress returns the address of a request's client: of the peer and the
// hops that X-Forwarded-For lists, the nearest that is no trusted proxy. Behind a
// hop that can't be read nothing is believed. The zero Addr stands for a peer
// without an address, as on an in-memory connection.
func (a *API) clientAddress(r *http.Request) netip.Addr {
	remote, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	addr := remote.Addr().Unmap()
	forwarded := r.Header.Values("X-Forwarded-For")
	if len(forwarded) == 0 || !a.isProxy(addr) {
		return addr
	}
	for _, hop := range slices.Backward(strings.Split(strings.Join(forwarded, ","), ",")) {
		next, ok := parseHop(hop)
		if !ok {
			break
		}
		if addr = next; !a.isProxy(addr) {
			break
		}
	}
	return addr
}

// parseHop reads an address in the forms that proxies write: 192.0.2.1,
// 192.0.2.1:80, 2001:db8::1, [2001:db8::1] and [2001:db8::1]:80, each also in
// double quotes.
func parseHop(hop string) (addr netip.Addr, ok bool) {
	hop = strings.TrimSpace(hop)
	hop = unwrap(hop, `"`, `"`)
	withPort, err := netip.ParseAddrPort(hop)
	if addr = withPort.Addr(); err != nil {
		addr, err = netip.ParseAddr(unwrap(hop, "[", "]"))
	}
	return addr.Unmap().WithZone(""), err == nil
}

// unwrap returns s without the prefix and suffix, or s if it has not both.
func unwrap(s, prefix, suffix string) string {
	if inner, ok := strings.CutPrefix(s, prefix); ok {
		if inner, ok = strings.CutSuffix(inner, suffix); ok {
			return inner
		}
	}
	return s
}

// isProxy reports whether addr belongs to a trusted proxy.
func (a *API) isProxy(addr netip.Addr) bool {
	return slices.ContainsFunc(a.cfg.Proxies, func(p netip.Prefix) bool { return p.Contains(addr) })
}
