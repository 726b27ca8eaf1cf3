package httpapi

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"

	"github.com/rafflecast/rafflecast/services/gateway/internal/course"
	"github.com/rafflecast/rafflecast/services/gateway/internal/respond"
	"github.com/rafflecast/rafflecast/services/test/tokentest"
)

// pageRequest is a browser's request for the page of a raffle.
func pageRequest(t *testing.T, id string) *http.Request {
	t.Helper()
	return httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/raffle/"+id, nil)
}

func TestPageSource_AgreesWithTheAPI(t *testing.T) {
	t.Parallel()
	forEach(t, allTransports, nil, func(b *testBundle) {
		b.publish(update(1, 1))
		source := b.api.PageSource(new(course.Recorder))
		for id, want := range map[string]string{
			"1": "", "2": "raffle 2 does not exist",
			"x": `id: must be a whole number from 1 to 9223372036854775807, in plain digits (got "x")`,
		} {
			_, err := source.Raffle(pageRequest(b.t, id), id)
			if (err == nil) != (want == "") || (err != nil && err.Error() != want) {
				b.t.Errorf("%s: %v", id, err)
			}
		}
		if found, err := source.Raffles(false, "OPEN"); err != nil || len(found) != 1 {
			b.t.Errorf("%d open raffles, %v", len(found), err)
		}
		if found, err := source.Raffles(false, "DRAWN"); err != nil || len(found) != 0 {
			b.t.Errorf("%d drawn raffles, %v", len(found), err)
		}
		b.feed.notReady = true
		if _, err := source.Raffles(false, "OPEN"); err == nil {
			b.t.Error("a list without a snapshot")
		}
	})
}

// The page of a raffle for members is for them, as its odds are.
func TestPageSource_HidesRafflesForMembers(t *testing.T) {
	t.Parallel()
	key := tokentest.NewKey(t, "1")
	tokens := newTokens(t, key)
	forEach(t, socketTransports[:1], func(b *testBundle) { b.cfg.Tokens = tokens }, func(b *testBundle) {
		b.publish(forMembers(2, 1))
		source := b.api.PageSource(new(course.Recorder))
		for token, reason := range map[string]respond.Reason{"": respond.TokenMissing, "x": respond.TokenInvalid, key.Token("7", "member"): ""} {
			r := pageRequest(b.t, "2")
			if token != "" {
				r.AddCookie(&http.Cookie{Name: cookieName, Value: token})
			}
			if _, err := source.Raffle(r, "2"); (err == nil) != (reason == "") || err != nil && !respond.Is(err, reason) {
				b.t.Errorf("want %q: %v", reason, err)
			}
			if got := source.IsMember(r); got != (reason == "") {
				b.t.Errorf("want %q: a member %t", reason, got)
			}
		}
	})
}

func TestPageSource_TellsTheOriginThatBrowsersSee(t *testing.T) {
	t.Parallel()
	forEach(t, allTransports[1:2], func(b *testBundle) {
		b.cfg.Proxies = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	}, func(b *testBundle) {
		source := b.api.PageSource(new(course.Recorder))
		for _, c := range []struct {
			remote, proto string
			isTLS         bool
			want          string
		}{
			{"192.0.2.1:1", "", false, "http://example.com"},
			{"192.0.2.1:1", "https", false, "http://example.com"}, // nobody trusts this one
			{"10.1.2.3:1", "https", false, "https://example.com"},
			{"10.1.2.3:1", "", false, "http://example.com"},
			{"192.0.2.1:1", "", true, "https://example.com"},
		} {
			r := pageRequest(b.t, "1")
			r.RemoteAddr = c.remote
			r.Header.Set("X-Forwarded-Proto", c.proto)
			if c.isTLS {
				r.TLS = new(tls.ConnectionState)
			} else {
				r.TLS = nil
			}
			if got := source.Origin(r); got != c.want {
				b.t.Errorf("%+v: %s", c, got)
			}
		}
	})
}
