package httpapi

import (
	"net/http"
	"net/netip"
	"testing"
)

// TestClientAddress_BelievesTrustedProxiesOnly shows why this is not the
// RightmostTrustedRangeStrategy of github.com/realclientip/realclientip-go v1.0.0:
// that one believes any peer, reads no quotes, and finds no address if a hop can't
// be read or if all hops are trusted.
func TestClientAddress_BelievesTrustedProxiesOnly(t *testing.T) {
	t.Parallel()
	a := &API{cfg: Config{Proxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("::1/128")}}}
	for _, c := range []struct {
		remote    string
		forwarded []string
		want      string
	}{
		{"192.0.2.1:80", nil, "192.0.2.1"},
		{"192.0.2.1:80", []string{"192.0.2.9"}, "192.0.2.1"}, // not from a trusted proxy
		{"10.0.0.1:80", []string{"192.0.2.9"}, "192.0.2.9"},
		{"10.0.0.1:80", []string{"192.0.2.8, 192.0.2.9"}, "192.0.2.9"}, // the first one is the client's claim
		{"10.0.0.1:80", []string{"192.0.2.8", "192.0.2.9, 10.1.1.1"}, "192.0.2.9"},
		{"10.0.0.1:80", []string{"192.0.2.9:4711"}, "192.0.2.9"},
		{"10.0.0.1:80", []string{`"192.0.2.9:4711", 10.1.1.1:80`}, "192.0.2.9"},
		{"10.0.0.1:80", []string{`"192.0.2.9"`}, "192.0.2.9"},
		{"10.0.0.1:80", []string{"[2001:db8::1]:4711"}, "2001:db8::1"},
		{"10.0.0.1:80", []string{`"[2001:db8::1]:4711"`}, "2001:db8::1"},
		{"10.0.0.1:80", []string{"[2001:db8::1]"}, "2001:db8::1"},
		{"10.0.0.1:80", []string{`"[2001:db8::1]"`}, "2001:db8::1"},
		{"10.0.0.1:80", []string{"2001:db8::1"}, "2001:db8::1"},
		{"10.0.0.1:80", []string{"fe80::1%eth0"}, "fe80::1"},
		{"10.0.0.1:80", []string{"192.0.2.8, x, 10.1.1.1"}, "10.1.1.1"}, // nothing behind x is believed
		{"10.0.0.1:80", []string{"192.0.2.8, unknown"}, "10.0.0.1"},
		{"10.0.0.1:80", []string{`192.0.2.8, "192.0.2.9`}, "10.0.0.1"},
		{"10.0.0.1:80", []string{"192.0.2.8, 192.0.2.9:x"}, "10.0.0.1"},
		{"10.0.0.1:80", []string{"10.1.1.2, 10.1.1.1"}, "10.1.1.2"},
		{"10.0.0.1:80", []string{""}, "10.0.0.1"},
		{"[::ffff:10.0.0.1]:80", []string{"::ffff:192.0.2.9"}, "192.0.2.9"},
		{"[::1]:80", []string{"2001:db8:1:2:3:4:5:6"}, "2001:db8:1:2:3:4:5:6"},
		{"[2001:db8:1:2::7]:80", nil, "2001:db8:1:2::7"},
		{"pipe", nil, "invalid IP"},
	} {
		r := &http.Request{RemoteAddr: c.remote, Header: http.Header{"X-Forwarded-For": c.forwarded}}
		if got := a.clientAddress(r).String(); got != c.want {
			t.Errorf("%s %q: %s, want %s", c.remote, c.forwarded, got, c.want)
		}
	}
}
