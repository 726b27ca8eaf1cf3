package httpapi

import (
	"net/http"
	"slices"
	"testing"
)

func TestCORS_AllowsTheConfiguredOrigins(t *testing.T) {
	t.Parallel()
	const mine, other = "https://mine.example", "https://other.example"
	for name, c := range map[string]struct {
		origins []string
		origin  string // of the page; "" for none
		want    string // in Access-Control-Allow-Origin
	}{
		"none is allowed":    {nil, mine, ""},
		"allowed":            {[]string{mine}, mine, mine},
		"not allowed":        {[]string{mine}, other, ""},
		"no page":            {[]string{mine}, "", ""},
		"all are allowed":    {[]string{"*"}, other, "*"},
		"one of two":         {[]string{other, mine}, mine, mine},
		"a longer host":      {[]string{mine}, mine + ".evil.example", ""},
		"another port":       {[]string{mine}, mine + ":444", ""},
		"a sandboxed iframe": {[]string{mine}, "null", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			forEach(t, allTransports, func(b *testBundle) { b.cfg.Origins = c.origins }, func(b *testBundle) {
				b.publish(update(1, 1))
				var from []string // a header
				if c.origin != "" {
					from = []string{"Origin", c.origin}
				}
				for _, resp := range []*http.Response{
					b.subscribe(subscribe1, from...).Response,
					b.get(http.MethodGet, "/api/v1/raffles/7/odds", from...), // an error is for pages to read, too
				} {
					if got := resp.Header.Get("Access-Control-Allow-Origin"); got != c.want {
						b.t.Errorf("allowed: %q", got)
					}
					if got := resp.Header.Get("Access-Control-Allow-Credentials"); got != "" {
						b.t.Errorf("credentials are allowed: %q", got)
					}
					varies := slices.Contains(resp.Header.Values("Vary"), "Origin")
					if want := len(c.origins) > 0 && c.origins[0] != "*"; varies != want {
						b.t.Errorf("Vary: %v", resp.Header.Values("Vary"))
					}
				}
			})
		})
	}
}

func TestCORS_AnswersPreflights(t *testing.T) {
	t.Parallel()
	const mine, other = "https://mine.example", "https://other.example"
	forEach(t, allTransports, func(b *testBundle) { b.cfg.Origins = []string{mine} }, func(b *testBundle) {
		for _, c := range []struct {
			origin, method, headers string
			ok                      bool
		}{
			{mine, "GET", "", true},
			{mine, "GET", "if-none-match,last-event-id", true},
			{mine, "POST", "content-type", true},
			{mine, "DELETE", "", false},
			{mine, "GET", "authorization,last-event-id", true},
			{mine, "GET", "cookie", false},
			{other, "GET", "authorization", false},
			{other, "GET", "", false},
		} {
			pairs := []string{"Origin", c.origin, "Access-Control-Request-Method", c.method}
			if c.headers != "" {
				pairs = append(pairs, "Access-Control-Request-Headers", c.headers)
			}
			resp := b.get(http.MethodOptions, "/api/v1/raffles/1/odds", pairs...)
			allowed := resp.Header.Get("Access-Control-Allow-Origin") == c.origin
			if allowed != c.ok || (resp.StatusCode == http.StatusNoContent) != c.ok {
				b.t.Errorf("%+v: %s %v", c, resp.Status, resp.Header)
			}
		}
	})
}

func TestCheckOrigins_RefusesWhatIsNoOrigin(t *testing.T) {
	t.Parallel()
	for _, origins := range [][]string{nil, {"*"}, {"https://a.example", "http://localhost:3000"}} {
		if err := CheckOrigins(origins); err != nil {
			t.Errorf("%q: %v", origins, err)
		}
	}
	for _, origin := range []string{"a.example", "https://", "https://a.example/", "https://a.example/b", "null", ""} {
		if err := CheckOrigins([]string{origin}); err == nil {
			t.Errorf("%q is taken for an origin", origin)
		}
	}
}
