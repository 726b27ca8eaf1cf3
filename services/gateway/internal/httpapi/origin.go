package httpapi

import (
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/rafflecast/rafflecast/services/gateway/internal/respond"
)

// newCrossOriginProtection returns what refuses requests by which the page of another
// origin would change something in the name of its visitor. Origins that may read answers
// may change things as well, if they are named in full.
func newCrossOriginProtection(origins []string) (*http.CrossOriginProtection, error) {
	protection := http.NewCrossOriginProtection()
	for _, origin := range origins {
		if strings.Contains(origin, "*") {
			continue
		}
		if err := protection.AddTrustedOrigin(origin); err != nil {
			return nil, err
		}
	}
	return protection, nil
}

// guarded refuses requests of pages of other origins, and those whose Host is not ours:
// by DNS rebinding, a page of any name can be made to reach a port on loopback.
func (a *API) guarded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !a.isOurs(r.Host) {
			a.respond.Error(w, r, respond.Errorf(respond.HostNotAllowed,
				"the host %.80q is not served here; --hosts names those that are", r.Host))
			return
		}
		if a.origins.Check(r) != nil {
			a.respond.Error(w, r, respond.Errorf(respond.CrossOrigin, "the page of another origin may not change anything here"))
			return
		}
		next.ServeHTTP(w, r)
	})
}

// isOurs reports whether a request for a host may be answered.
func (a *API) isOurs(host string) bool {
	return a.cfg.Hosts == nil || isLoopbackHost(host) || slices.Contains(a.cfg.Hosts, hostname(host))
}

// isLoopbackHost reports whether a Host header names loopback in a way that no other
// name server can make up.
func isLoopbackHost(host string) bool {
	name := hostname(host)
	ip, err := netip.ParseAddr(name)
	return name == "localhost" || strings.HasSuffix(name, ".localhost") || err == nil && ip.Unmap().IsLoopback()
}

// hostname returns the name in a Host header, without its port, in lower case.
func hostname(host string) string {
	name, _, err := net.SplitHostPort(host)
	if err != nil {
		name = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	}
	return strings.ToLower(strings.TrimSuffix(name, "."))
}
