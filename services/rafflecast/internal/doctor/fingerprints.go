package doctor

import (
	"net/http"
	"slices"
	"strings"
	"time"
)

// product is a proxy, load balancer or CDN that we have advice for, or the gateway.
type product string

const (
	nginx      product = "nginx"
	envoy      product = "Envoy"
	haproxy    product = "HAProxy"
	alb        product = "ALB"
	cloudflare product = "Cloudflare"
	ourGateway product = "gateway"
)

// fingerprints identify products by the headers of their responses: by the
// beginning of a header's name and, unless value is empty, by a part of its value
// in lower case.
var fingerprints = []struct {
	product     product
	name, value string
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

// haproxyTimeoutBody is in HAProxy's own 504, the only response in which it
// identifies itself by default.
const haproxyTimeoutBody = "The server didn't respond in time."

// identify returns the products that the responses identify.
func identify(m *measurements) (found []product) {
	m.headers(func(h http.Header) {
		for _, f := range fingerprints {
			if !slices.Contains(found, f.product) && hasHeader(h, f.name, f.value) {
				found = append(found, f.product)
			}
		}
	})
	if strings.Contains(string(m.longPoll.failure.body), haproxyTimeoutBody) && !slices.Contains(found, haproxy) {
		found = append(found, haproxy)
	}
	return found
}

func hasHeader(h http.Header, prefix, value string) bool {
	for name, values := range h {
		if !strings.HasPrefix(name, prefix) {
			continue
		}
		if value == "" || strings.Contains(strings.ToLower(strings.Join(values, "\n")), value) {
			return true
		}
	}
	return false
}

// productLimits are the limits that products have by default: on silence or, if
// onAge is set, on the age of a response.
var productLimits = []struct {
	product product
	limit   time.Duration
	onAge   bool
}{
	{envoy, 15 * time.Second, true},    // timeout of a route
	{haproxy, 50 * time.Second, false}, // timeout server, in Debian's haproxy.cfg
	{nginx, 60 * time.Second, false},   // proxy_read_timeout
	{alb, 60 * time.Second, false},     // idle_timeout.timeout_seconds
	{cloudflare, 100 * time.Second, false},
	{cloudflare, 120 * time.Second, false}, // Proxy Read Timeout
	{envoy, 5 * time.Minute, false},        // stream_idle_timeout
}

// productsThatCut returns the products that by default end a response after such a
// silence or at such an age.
func productsThatCut(silence, age time.Duration) (found []product) {
	for _, l := range productLimits {
		measured := silence
		if l.onAge {
			measured = age
		}
		if near(measured, l.limit) && !slices.Contains(found, l.product) {
			found = append(found, l.product)
		}
	}
	return found
}
