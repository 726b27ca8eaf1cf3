package httpapi

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"

	"github.com/rafflecast/rafflecast/services/gateway/internal/course"
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
			"x": `id: must be a whole number from 1 to 9223372036854775807 (got "x")`,
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
