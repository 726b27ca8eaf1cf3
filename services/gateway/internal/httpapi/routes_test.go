package httpapi

import (
	"net/http"
	"testing"
)

func TestRoutes_RefuseWhatTheyCannotRead(t *testing.T) {
	t.Parallel()
	forEach(t, allTransports, nil, func(b *testBundle) {
		b.publish(update(1, 1))
		for _, c := range []struct {
			path   string
			status int
			reason string
		}{
			{"/api/v1/raffles/2/subscribe", 404, "RAFFLE_NOT_FOUND"},
			{"/api/v1/raffles/0/subscribe", 400, "INVALID"},
			{"/api/v1/raffles/-1/subscribe", 400, "INVALID"},
			{"/api/v1/raffles/+1/subscribe", 400, "INVALID"},
			{"/api/v1/raffles/x%0Ay/subscribe", 400, "INVALID"},
			{"/api/v1/raffles/9223372036854775808/subscribe", 400, "INVALID"},
			{"/api/v1/raffles/subscribe/subscribe", 400, "INVALID"},
			{"/api/v1/raffles/1/subscribe?lastEventId=%zz", 400, "INVALID"},
			{"/api/v1/raffles/1/subscribe?lasteventid=1:1", 400, "INVALID"},
			{"/api/v1/raffles/2/odds", 404, "RAFFLE_NOT_FOUND"},
			{"/api/v1/raffles/two/odds", 400, "INVALID"},
			{"/api/v1/raffles/1.0/odds", 400, "INVALID"},
			{"/api/v1/raffles/1e0/odds", 400, "INVALID"},
			{"/api/v1/raffles/01/odds", 400, "INVALID"},
			{"/api/v1/raffles/%201/odds", 400, "INVALID"},
			{"/api/v1/raffles/subscribe?id=1e0", 400, "INVALID"},
			{"/api/v1/raffles/subscribe?id=%2B1", 400, "INVALID"},
			{"/api/v1/raffles?pageSize=%2B1", 400, "INVALID"},
			{"/api/v1/raffles?pageSize=01", 400, "INVALID"},
			{"/api/v1/raffles/1_0/odds", 400, "INVALID"},
			{"/api/v1/raffles/subscribe/odds", 400, "INVALID"},
			{"/api/v1/raffles/1/odds?wait=1s;x=1", 400, "INVALID"},
			{"/api/v1/raffles/1/odds?wait=1s&wait=2s", 400, "INVALID"},
			{"/api/v1/raffles/1/odds?waits=1s", 400, "INVALID"},
			{"/api/v1/raffles?state=open", 400, "INVALID"},
			{"/api/v1/raffles?state=STATE_UNSPECIFIED", 400, "INVALID"},
			{"/api/v1/raffles?state=OPEN&state=OPEN", 400, "INVALID"},
			{"/api/v1/raffles?State=OPEN", 400, "INVALID"},
			{"/api/v1/raffles?state=%", 400, "INVALID"},
			{"/api/v1/raffles?pageSize=0", 400, "INVALID"},
			{"/api/v1/raffles?pageSize=1001", 400, "INVALID"},
			{"/api/v1/raffles?page_size=1", 400, "INVALID"},
			{"/api/v1/raffles?pageToken=x", 400, "INVALID"},
			{"/api/v1/raffles?pageToken=1", 400, "INVALID"},
			{"/api/v1/nothing", 404, "PATH_NOT_FOUND"},
			{"/api/v1/raffles/1", 404, "PATH_NOT_FOUND"},
			{"/api/v1/nothing/", 404, "PATH_NOT_FOUND"},
			{"/api/v1/raffles/1%2Fodds", 404, "PATH_NOT_FOUND"},
			{"/api/v2/raffles/1/odds", 404, "PATH_NOT_FOUND"},
		} {
			if got := b.refused(http.MethodGet, c.path, c.status, c.reason); got.header.Get("Retry-After") != "" {
				b.t.Errorf("%s: Retry-After", c.path)
			}
		}
	})
}

func TestRoutes_NameTheParameterThatIsWrong(t *testing.T) {
	t.Parallel()
	forEach(t, allTransports, nil, func(b *testBundle) {
		for path, message := range map[string]string{
			"/api/v1/raffles?stat=OPEN":              `"stat": no such parameter here; known: pageSize, pageToken, state`,
			"/api/v1/raffles?pageSize=1&pageSize=50": "pageSize: must be given once",
		} {
			if got := b.refused(http.MethodGet, path, 400, "INVALID").message; got != message {
				b.t.Errorf("%s: %s", path, got)
			}
		}
	})
}

func TestRoutes_SayWhenToComeBackIfNotReady(t *testing.T) {
	t.Parallel()
	forEach(t, allTransports, nil, func(b *testBundle) {
		b.feed.notReady = true
		for _, path := range []string{"/api/v1/raffles/2/subscribe", "/api/v1/raffles/2/odds", "/api/v1/raffles"} {
			if got := b.refused(http.MethodGet, path, 503, "NOT_READY"); got.header.Get("Retry-After") == "" {
				b.t.Errorf("%s: no Retry-After", path)
			}
		}
	})
}

func TestRoutes_ServeTheSingularPathsToo(t *testing.T) {
	t.Parallel()
	forEach(t, allTransports, nil, func(b *testBundle) {
		b.publish(update(1, 1))
		for _, raffle := range []string{"/api/v1/raffles/1", "/api/v1/raffle/1"} {
			if status, body := b.body(http.MethodGet, raffle+"/odds"); status != 200 || body != string(update(1, 1).JSON)+"\n" {
				b.t.Errorf("%s/odds: %d %q", raffle, status, body)
			}
			if got := b.subscribe(raffle + "/subscribe").opening(); got != frame(1, 1) {
				b.t.Errorf("%s/subscribe: %q", raffle, got)
			}
		}
	})
}

func TestRoutes_RedirectToThePathWithoutSlash(t *testing.T) {
	t.Parallel()
	forEach(t, allTransports, nil, func(b *testBundle) {
		for path, to := range map[string]string{
			"/api/v1/raffles/":                     "/api/v1/raffles",
			"/api/v1/raffles/?state=OPEN":          "/api/v1/raffles?state=OPEN",
			"/api/v1/raffles/subscribe/?id=1&id=2": "/api/v1/raffles/subscribe?id=1&id=2",
			"/api/v1/raffles/1/subscribe/":         "/api/v1/raffles/1/subscribe",
			"/api/v1/raffles/%2F%2Fx/odds/":        "/api/v1/raffles/%2F%2Fx/odds",
			"/api/v1/raffle/1/odds/":               "/api/v1/raffle/1/odds",
		} {
			resp := b.get(http.MethodGet, path)
			if resp.StatusCode != http.StatusPermanentRedirect || resp.Header.Get("Location") != to {
				b.t.Errorf("%s: %s to %q", path, resp.Status, resp.Header.Get("Location"))
			}
		}
	})
}

func TestRoutes_AnswerHeadAndOptionsAndNoOtherMethods(t *testing.T) {
	t.Parallel()
	forEach(t, allTransports, nil, func(b *testBundle) {
		b.publish(update(1, 1))
		const allow, oddsPath = "GET, HEAD, OPTIONS", "/api/v1/raffles/1/odds"
		for _, path := range []string{subscribe1, several, oddsPath, "/api/v1/raffles"} {
			options := b.get(http.MethodOptions, path)
			if options.StatusCode != http.StatusNoContent || options.Header.Get("Allow") != allow {
				b.t.Errorf("OPTIONS %s: %s %v", path, options.Status, options.Header)
			}
			for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodDelete, "BREW"} {
				if got := b.refused(method, path, 405, "METHOD_NOT_ALLOWED"); got.header.Get("Allow") != allow {
					b.t.Errorf("%s %s: %v", method, path, got.header)
				}
			}
		}
		for _, path := range []string{subscribe1, "/api/v1/raffles/subscribe?id=1", oddsPath, "/api/v1/raffles"} {
			if status, body := b.body(http.MethodHead, path); status != http.StatusOK || body != "" {
				b.t.Errorf("HEAD %s: %d %q", path, status, body)
			}
		}
		if b.hub.Open() != 0 {
			b.t.Errorf("%d connections are open", b.hub.Open())
		}
	})
}
