package doctor

import (
	"net/http"
	"slices"
	"strings"
	"time"
)

// product is what may stand on the way.
type product string

const (
	nginx      product = "nginx"
	envoy      product = "Envoy"
	haproxy    product = "HAProxy"
	alb        product = "ALB"
	cloudflare product = "Cloudflare"
	ourselves  product = "gateway"
)

// signs are what answers of a product's say, in lower case: a part of a field's
// value, or of its name where value is empty.
var signs = []struct {
	product      product
	field, value string
}{
	{cloudflare, "Cf-Ray", ""},
	{cloudflare, "Server", "cloudflare"},
	{alb, "Server", "awselb"},
	{alb, "Set-Cookie", "awsalb"},
	{alb, "X-Amzn-", ""},
	{envoy, "Server", "envoy"},
	{envoy, "X-Envoy-", ""},
	{nginx, "Server", "nginx"},
	{nginx, "Server", "openresty"},
	{haproxy, "Server", "haproxy"},
	{haproxy, "Via", "haproxy"},
	{nginx, "Via", "nginx"},
	{envoy, "Via", "envoy"},
}

// haproxyGaveUp is what HAProxy says where it names itself nowhere else.
const haproxyGaveUp = "The server didn't respond in time."

// seen returns the products that answers name.
func seen(m *measurements) (found []product) {
	m.headers(func(h http.Header) {
		for _, s := range signs {
			if !slices.Contains(found, s.product) && signed(h, s.field, s.value) {
				found = append(found, s.product)
			}
		}
	})
	if strings.Contains(string(m.poll.fault.body), haproxyGaveUp) && !slices.Contains(found, haproxy) {
		found = append(found, haproxy)
	}
	return found
}

func signed(h http.Header, field, value string) bool {
	for name, values := range h {
		if !strings.HasPrefix(name, field) {
			continue
		}
		if value == "" || strings.Contains(strings.ToLower(strings.Join(values, "\n")), value) {
			return true
		}
	}
	return false
}

// habits are the limits that products have unless told otherwise: the time in
// which nothing comes, or, with life, all that a stream may live.
var habits = []struct {
	product product
	limit   time.Duration
	life    bool
}{
	{envoy, 15 * time.Second, true},    // a route's timeout
	{haproxy, 50 * time.Second, false}, // timeout server, in Debian's haproxy.cfg
	{nginx, 60 * time.Second, false},   // proxy_read_timeout
	{alb, 60 * time.Second, false},     // idle_timeout.timeout_seconds
	{cloudflare, 100 * time.Second, false},
	{cloudflare, 120 * time.Second, false}, // Proxy Read Timeout
	{envoy, 5 * time.Minute, false},        // stream_idle_timeout
}

// knownFor returns the products whose habit is to cut there. A silence that
// lasted all of a stream's life may be either.
func knownFor(silence, life time.Duration) (found []product) {
	for _, h := range habits {
		of := silence
		if h.life {
			of = life
		}
		if near(of, h.limit) && !slices.Contains(found, h.product) {
			found = append(found, h.product)
		}
	}
	return found
}

// near tells whether two times are the same but for what clocks and networks add.
func near(a, b time.Duration) bool {
	return (a - b).Abs() <= max(300*time.Millisecond, b/50)
}
