package httpapi

import (
	"bufio"
	"maps"
	"net/http"
	"net/netip"
	"testing"

	"github.com/rafflecast/rafflecast/services/internal/httpserver"
)

// Whoever answers a request, the answer is the same.
func TestOpen_AnswersLikeTheHandler(t *testing.T) {
	t.Parallel()
	requests := []struct {
		path  string
		pairs []string // header names and values
		quick bool
	}{
		{path: "/api/v1/raffle/1/subscribe", quick: true},
		{path: "/api/v1/raffles/1/subscribe", quick: true},
		{path: "/api/v1/raffles/subscribe?id=1&id=3", quick: true},
		{path: "/api/v1/raffle/1/subscribe?lastEventId=1:e:4", quick: true},
		{path: "/api/v1/raffle/1/subscribe", pairs: []string{"Last-Event-ID", "1:e:5"}, quick: true},
		{path: "/api/v1/raffle/1/subscribe", pairs: []string{"Last-Event-ID", "1:d:5"}, quick: true},
		{path: "/api/v1/raffles/subscribe?id=1&id=3", pairs: []string{"Last-Event-ID", "1:e:5"}, quick: true},
		{path: "/api/v1/raffle/1/subscribe", pairs: []string{"Origin", "https://shop.example"}, quick: true},
		{path: "/api/v1/raffle/1/subscribe", pairs: []string{"Origin", "https://evil.example"}, quick: true},
		{path: "/api/v1/raffle/1/subscribe", pairs: []string{"X-Forwarded-For", "192.0.2.1"}, quick: true},
		{path: "/api/v1/raffle/1/subscribe", pairs: []string{"Cookie", "a=b"}, quick: true},

		{path: "/api/v1/raffle/1/subscribe", pairs: []string{"Host", "evil.example"}},
		{path: "/api/v1/raffle/1/subscribe", pairs: []string{"Last-Event-ID", "1:e:1"}},       // must be fetched
		{path: "/api/v1/raffle/1/subscribe", pairs: []string{"X-Forwarded-For", "192.0.2.9"}}, // has its limit of connections
		{path: "/api/v1/raffle/2/subscribe", pairs: []string{"Last-Event-ID", "2:e:3"}},       // is over
		{path: "/api/v1/raffle/4/subscribe"},                                                  // for members
		{path: "/api/v1/raffles/subscribe?id=1&id=4"},
		{path: "/api/v1/raffle/9/subscribe"},
		{path: "/api/v1/raffle1/subscribe"},
		{path: "/api/v1/raffles1/subscribe"},
		{path: "/api/v1/raffle/1/subscribe/"},
		{path: "/api/v1/raffle//1/subscribe"},
		{path: "/api/v1/raffle/-1/subscribe"},
		{path: "/api/v1/raffle/1/subscribe?id=1"},
		{path: "/api/v1/raffles/subscribe"},
		{path: "/api/v1/raffles/subscribe?id=0"},
		{path: "/api/v1/raffle/1/odds"},
		{path: "/api/v1/raffles"},
	}
	prepare := func(b *testBundle) {
		b.cfg.Origins = []string{"https://shop.example"}
		b.cfg.Hosts = httpserver.ParseHosts(nil, true)
		b.cfg.Proxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
		b.cfg.MaxPerClient = 20
		for v := int64(1); v <= 5; v++ {
			b.feed.store(update(1, v))
		}
		b.feed.cache.Put(update(1, 4))
		b.feed.cache.Put(update(1, 5))
		b.feed.put(finalUpdate(2, 3))
		b.feed.put(update(3, 7))
		members := update(4, 1)
		members.MembersOnly = true
		b.feed.put(members)
	}
	type answer struct {
		status int
		header http.Header
		block  string
	}
	var detached, quick []answer
	for _, way := range []struct {
		transport
		answers *[]answer
	}{{transport{name: "detached"}, &detached}, {transport{name: "quick", quick: true}, &quick}} {
		forEach(t, []transport{way.transport}, prepare, func(b *testBundle) {
			for range b.cfg.MaxPerClient {
				b.subscribe("/api/v1/raffle/1/subscribe", "X-Forwarded-For", "192.0.2.9")
			}
			for _, r := range requests {
				before := b.quick.Load()
				resp := b.get(http.MethodGet, r.path, r.pairs...)
				if quick := b.quick.Load() > before; quick != (r.quick && way.quick) {
					b.t.Errorf("%s %q: quick %t", r.path, r.pairs, quick)
				}
				a := answer{status: resp.StatusCode, header: resp.Header}
				if resp.StatusCode == http.StatusOK && resp.Header.Get("X-Accel-Buffering") != "" {
					a.block = (&events{b.t, resp, bufio.NewReader(resp.Body)}).opening()
				}
				for _, name := range []string{"Date", "Retry-After"} {
					resp.Header.Del(name)
				}
				*way.answers = append(*way.answers, a)
			}
		})
	}
	t.Cleanup(func() {
		for i, r := range requests {
			got, want := quick[i], detached[i]
			isSame := got.status == want.status && (got.block == want.block || isHeartbeat(got.block) && isHeartbeat(want.block)) &&
				maps.EqualFunc(got.header, want.header, func(a, b []string) bool { return len(a) == len(b) && a[0] == b[0] })
			if !isSame {
				t.Errorf("%s %q:\n got %+v\nwant %+v", r.path, r.pairs, got, want)
			}
		}
	})
}
