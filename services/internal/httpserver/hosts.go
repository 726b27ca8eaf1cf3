package httpserver

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"regexp"
	"slices"
	"strings"
)

// Hosts are the names, besides those of loopback, that requests may be for; nil means
// all. By DNS rebinding, the page of any name can be made to reach a port on loopback: it
// is told by the name in its requests.
type Hosts []string

// CheckHosts returns an error unless names are such that requests may be for: names as in
// URLs, in ASCII, and addresses, without scheme, port or path, or *.
func CheckHosts(names []string) error {
	for _, name := range names {
		_, err := netip.ParseAddr(name)
		if err != nil && name != "*" && !hostName.MatchString(name) {
			return fmt.Errorf("%.80q is none", name)
		}
	}
	return nil
}

// hostName matches a name of DNS as browsers write it in the header Host, where we look at
// it without its last dot.
var hostName = regexp.MustCompile(`^[0-9A-Za-z_-]+(\.[0-9A-Za-z_-]+)*$`)

// ParseHosts reads the names of a setting, separated by commas, for a port that listens
// on loopback or not. No name means that requests to a port on loopback must be for
// loopback, and others for anything; so does * for every port.
func ParseHosts(names []string, isLoopback bool) Hosts {
	switch {
	case slices.Contains(names, "*"), len(names) == 0 && !isLoopback:
		return nil
	}
	hosts := make(Hosts, len(names))
	for i, name := range names {
		hosts[i] = strings.ToLower(name)
	}
	return hosts
}

// Have reports whether a request with this Host header may be answered.
func (h Hosts) Have(host string) bool {
	return h == nil || isLoopbackHost(host) || slices.Contains(h, hostname(host))
}

// Only returns a handler that refuses requests for other hosts.
func (h Hosts) Only(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !h.Have(r.Host) {
			http.Error(w, "this host is not served here", http.StatusMisdirectedRequest)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// isLoopbackHost reports whether a Host header names loopback in a way that no name
// server can make up. A client of HTTP/1.0 names nothing, and is no browser.
func isLoopbackHost(host string) bool {
	name := hostname(host)
	ip, err := netip.ParseAddr(name)
	return name == "" || name == "localhost" || strings.HasSuffix(name, ".localhost") || err == nil && ip.Unmap().IsLoopback()
}

// hostname returns the name in a Host header, without its port, in lower case.
func hostname(host string) string {
	name, _, err := net.SplitHostPort(host)
	if err != nil {
		name = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	}
	return strings.ToLower(strings.TrimSuffix(name, "."))
}
