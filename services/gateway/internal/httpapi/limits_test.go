package httpapi

import (
	"net/http"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/rafflecast/rafflecast/services/test/testenv"
)

func TestLongPolling(t *testing.T) {
	t.Parallel()
	each(t, nil, func(w *world) {
		w.publish(update(1, 1))
		const path = "/api/v1/raffle/1/odds?wait=60s"
		if resp := w.get(http.MethodGet, path); resp.StatusCode != http.StatusOK || resp.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("nothing known: %s %v", resp.Status, resp.Header)
		}
		if status, _ := w.body(http.MethodGet, path, "If-None-Match", `"1:0"`); status != 200 {
			t.Errorf("an old version: %d", status)
		}
		go func() {
			if err := testenv.Await("a client waits", 10*time.Second, func() bool { return w.hub.Open() > 0 }); err != nil {
				w.t.Error(err) // the request ends by itself
			}
			w.publish(update(2, 1))
			w.publish(update(1, 2))
		}()
		resp := w.get(http.MethodGet, path, "If-None-Match", `"1:1"`)
		if resp.StatusCode != http.StatusOK || resp.Header.Get("ETag") != `"1:2"` {
			t.Errorf("when they change: %s %v", resp.Status, resp.Header)
		}
		from := time.Now()
		status, _ := w.body(http.MethodGet, "/api/v1/raffle/1/odds?wait=1s", "If-None-Match", `"1:2"`)
		if took := time.Since(from); status != http.StatusNotModified || took < time.Second || (!w.real && took > 1200*time.Millisecond) {
			t.Errorf("no change: %d after %v", status, took)
		}
		for _, wait := range []string{"61s", "10ms", "-1s", "25", "x"} {
			refused(w, "/api/v1/raffle/1/odds?wait="+wait, 400, "INVALID_ARGUMENT")
		}
		testenv.Eventually(w.t, "no connection is counted", 10*time.Second, func() bool { return w.hub.Open() == 0 })
	})
}

func TestCaps(t *testing.T) {
	t.Parallel()
	each(t, func(w *world) {
		w.cfg.MaxOpen, w.cfg.MaxPerClient = 3, 2
		w.cfg.Proxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	}, func(w *world) {
		if !w.real {
			return // all clients in memory are one
		}
		w.publish(update(1, 1))
		mine := w.subscribe(subscribe1)
		w.subscribe(subscribe1)
		full := w.get(http.MethodGet, subscribe1)
		if full.StatusCode != http.StatusTooManyRequests || full.Header.Get("Retry-After") == "" {
			t.Errorf("a third of mine: %s %v", full.Status, full.Header)
		}
		w.subscribe(subscribe1, "X-Forwarded-For", "192.0.2.1")
		if resp := w.get(http.MethodGet, subscribe1, "X-Forwarded-For", "192.0.2.2"); resp.StatusCode != http.StatusServiceUnavailable {
			t.Errorf("a fourth: %s", resp.Status)
		}
		if status, _ := w.body(http.MethodGet, "/api/v1/raffle/1/odds?wait=1s", "If-None-Match", `"1:1"`); status != http.StatusTooManyRequests &&
			status != http.StatusServiceUnavailable {
			t.Errorf("a long poll: %d", status)
		}
		mine.Body.Close()
		testenv.Eventually(w.t, "the closed connection is forgotten", 10*time.Second, func() bool { return w.hub.Open() <= 2 })
		w.subscribe(subscribe1)
	})
}

func TestClientAddress(t *testing.T) {
	t.Parallel()
	a := &API{cfg: Config{Proxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("::1/128")}}}
	for _, c := range []struct {
		remote    string
		forwarded []string
		want      string
	}{
		{"192.0.2.1:80", nil, "192.0.2.1"},
		{"192.0.2.1:80", []string{"192.0.2.9"}, "192.0.2.1"}, // who is not trusted is not believed
		{"10.0.0.1:80", []string{"192.0.2.9"}, "192.0.2.9"},
		{"10.0.0.1:80", []string{"192.0.2.8, 192.0.2.9"}, "192.0.2.9"}, // the first is the client's own word
		{"10.0.0.1:80", []string{"192.0.2.8", "192.0.2.9, 10.1.1.1"}, "192.0.2.9"},
		{"10.0.0.1:80", []string{"x, 10.1.1.1"}, "10.1.1.1"},
		{"10.0.0.1:80", []string{""}, "10.0.0.1"},
		{"[::ffff:10.0.0.1]:80", []string{"::ffff:192.0.2.9"}, "192.0.2.9"},
		{"[::1]:80", []string{"2001:db8:1:2:3:4:5:6"}, "2001:db8:1:2:3:4:5:6"},
		{"[2001:db8:1:2::7]:80", nil, "2001:db8:1:2::7"},
		{"pipe", nil, "invalid IP"},
	} {
		r := &http.Request{RemoteAddr: c.remote, Header: http.Header{"X-Forwarded-For": c.forwarded}}
		if got := a.address(r).String(); got != c.want {
			t.Errorf("%s %q: %s, want %s", c.remote, c.forwarded, got, c.want)
		}
	}
}

func TestMethods(t *testing.T) {
	t.Parallel()
	each(t, nil, func(w *world) {
		w.publish(update(1, 1))
		for _, path := range []string{subscribe1, "/api/v1/raffles/subscribe?id=1", "/api/v1/raffle/1/odds", "/api/v1/raffles"} {
			options := w.get(http.MethodOptions, path)
			if options.StatusCode != http.StatusNoContent || options.Header.Get("Allow") != "GET, HEAD, OPTIONS" {
				t.Errorf("OPTIONS %s: %s %v", path, options.Status, options.Header)
			}
			for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodDelete} {
				resp := w.get(method, path)
				if resp.StatusCode != http.StatusMethodNotAllowed || resp.Header.Get("Allow") != "GET, HEAD, OPTIONS" {
					t.Errorf("%s %s: %s %v", method, path, resp.Status, resp.Header)
				}
			}
			if head := w.get(http.MethodHead, path); head.StatusCode != http.StatusOK {
				t.Errorf("HEAD %s: %s", path, head.Status)
			}
		}
		if w.hub.Open() != 0 {
			t.Errorf("%d are open", w.hub.Open())
		}
	})
}

func TestCORS(t *testing.T) {
	t.Parallel()
	const mine, other = "https://mine.example", "https://other.example"
	for name, c := range map[string]struct {
		origins []string
		origin  string
		want    string
	}{
		"none allowed":  {nil, mine, ""},
		"allowed":       {[]string{mine}, mine, mine},
		"not allowed":   {[]string{mine}, other, ""},
		"no page":       {[]string{mine}, "", ""},
		"all allowed":   {[]string{"*"}, other, "*"},
		"one of two":    {[]string{other, mine}, mine, mine},
		"only by whole": {[]string{mine}, mine + ".evil.example", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			each(t, func(w *world) { w.cfg.Origins = c.origins }, func(w *world) {
				w.publish(update(1, 1))
				for _, resp := range []*http.Response{
					w.subscribe(subscribe1, "Origin", c.origin).Response,
					w.get(http.MethodGet, "/api/v1/raffle/7/odds", "Origin", c.origin),
				} {
					if got := resp.Header.Get("Access-Control-Allow-Origin"); got != c.want {
						t.Errorf("allowed: %q", got)
					}
					varies := slices.Contains(resp.Header.Values("Vary"), "Origin")
					if want := len(c.origins) > 0 && c.origins[0] != "*"; varies != want {
						t.Errorf("Vary: %v", resp.Header.Values("Vary"))
					}
				}
				preflight := w.get(http.MethodOptions, subscribe1, "Origin", c.origin, "Access-Control-Request-Method", "GET")
				if got := preflight.Header.Get("Access-Control-Allow-Methods"); (got != "") != (c.want != "") || preflight.StatusCode != http.StatusNoContent {
					t.Errorf("preflight: %s %q", preflight.Status, got)
				}
			})
		})
	}
}
