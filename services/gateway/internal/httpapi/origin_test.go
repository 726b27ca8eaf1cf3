package httpapi

import (
	"net/http"
	"net/netip"
	"testing"
)

// What browsers send with the request of another site's page: a form, fetch without
// CORS, and sendBeacon all do.
func TestGuarded_RefusesChangesByOtherOrigins(t *testing.T) {
	t.Parallel()
	f := setupForwarding(t, func(c *Config) { c.Origins = []string{"https://shop.example", "https://*.shop.example"} }, answerJSON(http.StatusOK, `{}`))
	const path = "/api/v1/raffles/1/entries?memberId=7"
	for name, header := range map[string][]string{
		"another site":              {"Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example"},
		"another origin":            {"Sec-Fetch-Site", "same-site", "Origin", "https://a.example"},
		"a form":                    {"Sec-Fetch-Site", "cross-site", "Content-Type", "application/x-www-form-urlencoded"},
		"text":                      {"Sec-Fetch-Site", "cross-site", "Content-Type", "text/plain"},
		"an old browser":            {"Origin", "https://evil.example"},
		"a sandboxed page":          {"Origin", "null"},
		"an origin of a pattern":    {"Origin", "https://a.shop.example"},
		"another port of this host": {"Origin", "http://127.0.0.1:1"},
	} {
		f.refused(http.MethodPost, path, 403, "CROSS_ORIGIN", header...)
		if got := f.taken(); len(got) > 0 {
			t.Errorf("%s: it is forwarded", name)
		}
	}
	for name, header := range map[string][]string{
		"curl": nil, "our page": {"Sec-Fetch-Site", "same-origin", "Origin", f.base}, "our page in an old browser": {"Origin", f.base},
		"an origin that is allowed": {"Sec-Fetch-Site", "cross-site", "Origin", "https://shop.example"},
	} {
		resp, got := f.get(http.MethodPost, path, header...), f.taken()
		if resp.StatusCode != http.StatusOK || len(got) != 1 {
			t.Errorf("%s: %s", name, resp.Status)
		} else if h := got[0].Header; h.Get("Origin") != "" || h.Get("Sec-Fetch-Site") != "" { // participation has another name
			t.Errorf("%s: participation is told of the page: %v", name, h)
		}
	}
	if status, _ := f.body(http.MethodGet, "/api/v1/raffles", "Sec-Fetch-Site", "cross-site"); status != http.StatusOK {
		t.Errorf("reading: %d", status)
	}
}

func TestGuarded_RefusesOtherHosts(t *testing.T) {
	t.Parallel()
	forEach(t, socketTransports, func(b *testBundle) { b.cfg.Hosts = []string{"odds.example.org"} }, func(b *testBundle) {
		for host, served := range map[string]bool{
			"localhost": true, "LOCALHOST:9998": true, "localhost.": true, "a.localhost:1": true, "127.0.0.1:9998": true, "[::1]:9998": true, "[::1]": true,
			"odds.example.org": true, "Odds.Example.org:443": true,
			"evil.example": false, "localhost.evil.example": false, "127.0.0.1.evil.example": false, "192.0.2.1:9998": false, "evil-localhost": false,
		} {
			r, err := http.NewRequestWithContext(b.t.Context(), http.MethodGet, b.base+"/api/v1/raffles", http.NoBody)
			if err != nil {
				b.t.Fatal(err)
			}
			r.Host = host
			resp, err := b.client.Do(r)
			if err != nil {
				b.t.Fatal(err)
			}
			resp.Body.Close()
			if want := map[bool]int{true: http.StatusOK, false: http.StatusMisdirectedRequest}[served]; resp.StatusCode != want {
				b.t.Errorf("Host %s: %s", host, resp.Status)
			}
		}
	})
}

func TestForward_BoundsTheChangesOfAClient(t *testing.T) {
	t.Parallel()
	f := setupForwarding(t, func(c *Config) {
		c.ChangesPerClient, c.Proxies = 2, []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	}, answerJSON(http.StatusOK, `{}`))
	const path = "/api/v1/raffles/1/entries?memberId=7"
	one, other := []string{"X-Forwarded-For", "192.0.2.1"}, []string{"X-Forwarded-For", "192.0.2.2"}
	for range 2 {
		if resp := f.get(http.MethodPost, path, one...); resp.StatusCode != http.StatusOK {
			t.Fatal(resp.Status)
		}
	}
	if got := f.refused(http.MethodPost, path, 429, "RATE_LIMITED", one...).header.Get("Retry-After"); got == "" || got == "0" {
		t.Errorf("Retry-After: %q", got)
	}
	for name, request := range map[string][]string{"another address": other, "reading": one} {
		method := map[bool]string{true: http.MethodGet, false: http.MethodPost}[name == "reading"]
		if resp := f.get(method, path, request...); resp.StatusCode != http.StatusOK {
			t.Errorf("%s: %s", name, resp.Status)
		}
	}
}
