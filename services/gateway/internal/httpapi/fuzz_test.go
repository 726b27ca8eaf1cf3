package httpapi

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rafflecast/rafflecast/services/gateway/internal/fanout"
)

// recorder is a ResponseWriter that also takes deadlines, as a connection does.
type recorder struct{ *httptest.ResponseRecorder }

func (recorder) SetReadDeadline(time.Time) error  { return nil }
func (recorder) SetWriteDeadline(time.Time) error { return nil }

// fakeParticipation keeps what was forwarded to it.
type fakeParticipation struct {
	mu    sync.Mutex
	query string
	body  []byte
	asked bool
}

func (p *fakeParticipation) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked, p.query = true, r.URL.RawQuery
	p.body, _ = io.ReadAll(r.Body)
	w.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(w, "{}")
}

// fuzzAPI returns a handler that knows raffles 1 and 2, which are closed, so that every
// stream ends, and forwards to a fake participation.
func fuzzAPI(f *testing.F) (http.Handler, *fakeParticipation) {
	f.Helper()
	participation := &fakeParticipation{}
	server := httptest.NewServer(participation)
	f.Cleanup(server.Close)
	to, err := url.Parse(server.URL)
	if err != nil {
		f.Fatal(err)
	}
	feed := newFakeFeed()
	hub, err := fanout.NewHub(fanout.Config{
		Cache: feed.cache, ConflationInterval: time.Millisecond, Heartbeat: time.Minute, Lifetime: time.Hour, RetryMax: time.Second,
		WriteTimeout: time.Minute,
	}, fanout.DisableDetach)
	if err != nil {
		f.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); _ = hub.Run(ctx) }()
	f.Cleanup(func() { stop(); <-ended })
	api, err := New(Config{
		RetryMin: time.Second, RetryMax: 5 * time.Second, MaxRaffles: 100, BodyTimeout: 5 * time.Second, MaxPerClient: 1000,
		Participation: to, ForwardLimit: 10, ForwardTimeout: 10 * time.Second, Log: slog.New(slog.DiscardHandler),
		Proxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, Origins: []string{"https://shop.example"},
	}, feed.cache, feed, hub)
	if err != nil {
		f.Fatal(err)
	}
	feed.put(finalUpdate(1, 3))
	feed.put(finalUpdate(2, 5))
	return api.Handler(http.NotFoundHandler()), participation
}

// FuzzHandler sends whole requests, as bytes, through all of the API: no request is a
// defect, errors are JSON with a reason, and what is forwarded is what was sent.
func FuzzHandler(f *testing.F) {
	for _, request := range []string{
		"GET /api/v1/raffles/1/subscribe HTTP/1.1\r\nHost: h\r\nLast-Event-ID: 1:e:2\r\n\r\n",
		"GET /api/v1/raffle/1/subscribe?lastEventId=1%3A99999999999999999999 HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: x, 10.0.0.1:80\r\n\r\n",
		"GET /api/v1/raffles/subscribe?id=1&id=2 HTTP/1.1\r\nHost: h\r\nLast-Event-ID: 2:e:5,1:x:1\r\n\r\n",
		"GET /api/v1/raffles/1/odds HTTP/1.1\r\nHost: h\r\nIf-None-Match: W/\"1:e:3\", *\r\n\r\n",
		"GET /api/v1/raffles?state=OPEN&pageSize=2 HTTP/1.1\r\nHost: h\r\nOrigin: https://shop.example\r\n\r\n",
		"OPTIONS /api/v1/raffles HTTP/1.1\r\nHost: h\r\nOrigin: https://shop.example\r\nAccess-Control-Request-Method: GET\r\n\r\n",
		"POST /api/v1/raffles/1/entries HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: 16\r\n\r\n{\"memberId\":\"m\"}",
		"POST /api/v1/raffle/1?memberId=m&requestId=x%zz HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
		"POST /api/v1/raffles/01/entries:withdraw?memberId=m;x HTTP/1.1\r\nHost: h\r\nContent-Length: 99\r\n\r\nshort",
		"HEAD /api/v1/raffles/9223372036854775808/subscribe/ HTTP/1.0\r\n\r\n",
		"DELETE /api/v1/raffles/%31/odds HTTP/1.1\r\nHost: h\r\nRange: bytes=0-\r\nCookie: a=b\r\n\r\n",
		"GET //api/../api/v1/raffles/1/entries?memberId= HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\n\r\n",
	} {
		f.Add(request)
	}
	handler, participation := fuzzAPI(f)
	f.Fuzz(func(t *testing.T, text string) {
		r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(text)))
		if err != nil {
			return // net/http answers those by itself
		}
		if r.URL.Query().Has("wait") {
			return // it may take a minute
		}
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		r.RemoteAddr = "127.0.0.1:80"
		participation.asked = false
		w := httptest.NewRecorder()
		query := r.URL.RawQuery
		handler.ServeHTTP(recorder{w}, r.WithContext(ctx))
		if ctx.Err() != nil {
			t.Errorf("%q: no answer in time", text)
		}
		if w.Code == http.StatusInternalServerError || w.Code > 599 || w.Code < 200 {
			t.Errorf("%q: status %d", text, w.Code)
		}
		if strings.HasPrefix(w.Header().Get("Content-Type"), "application/json") && w.Code >= 400 && r.Method != http.MethodHead {
			var body struct {
				Error struct{ Code, Reason, Message string }
			}
			if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil || body.Error.Reason == "" || body.Error.Message == "" {
				t.Errorf("%q: %d %q, %v", text, w.Code, w.Body, err)
			}
		}
		participation.mu.Lock()
		defer participation.mu.Unlock()
		if participation.asked {
			sent, err := url.ParseQuery(query)
			got, gotErr := url.ParseQuery(participation.query)
			if err != nil || gotErr != nil || !reflect.DeepEqual(sent, got) {
				t.Errorf("%q: the query %q was forwarded as %q", text, query, participation.query)
			}
		}
	})
}

// FuzzClientAddress holds what X-Forwarded-For may change against what it may not: a
// client's own claims count for nothing.
func FuzzClientAddress(f *testing.F) {
	for _, forwarded := range []string{"", "192.0.2.9", `"[2001:db8::1]:4711", 10.1.1.1:80`, "unknown", "fe80::1%eth0", ",,", "for=192.0.2.43", "::ffff:10.0.0.1"} {
		f.Add(forwarded)
	}
	a := &API{cfg: Config{Proxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}}}
	at := func(remote string, forwarded ...string) netip.Addr {
		return a.clientAddress(&http.Request{RemoteAddr: remote, Header: http.Header{"X-Forwarded-For": forwarded}})
	}
	f.Fuzz(func(t *testing.T, forwarded string) {
		if got := at("192.0.2.1:80", forwarded); got != netip.MustParseAddr("192.0.2.1") {
			t.Errorf("%q is believed from a stranger: %v", forwarded, got)
		}
		for _, hop := range []string{"203.0.113.9", "203.0.113.9:80", `"203.0.113.9:80"`} {
			for _, headers := range [][]string{{forwarded + ", " + hop}, {forwarded, hop}, {forwarded, hop + ", 10.2.2.2"}} {
				if got := at("10.0.0.1:80", headers...); got != netip.MustParseAddr("203.0.113.9") {
					t.Errorf("%q before the proxy's own hop %q: %v", forwarded, headers, got)
				}
			}
		}
		if got := at("10.0.0.1:80", forwarded); !got.IsValid() || got.Zone() != "" || got.Is4In6() {
			t.Errorf("%q is read as %v", forwarded, got)
		}
	})
}

// FuzzPageToken makes sure that there is one token for each position.
func FuzzPageToken(f *testing.F) {
	f.Add("OPEN", pageToken("OPEN", 7))
	f.Add("", pageToken("", 1<<62))
	f.Add("CLOSED", pageToken("OPEN", 7))
	f.Add("", "!")
	f.Fuzz(func(t *testing.T, state, token string) {
		last, ok := parsePageToken(state, token)
		if ok && (last < 1 || pageToken(state, last) != token) {
			t.Errorf("%q %q is read as %d", state, token, last)
		}
		query := url.Values{"pageToken": {token}, "state": {state}}
		if req, err := listRequestOf(query); err == nil && token != "" && req.after != last {
			t.Errorf("%q %q: the list goes on after %d", state, token, req.after)
		}
	})
}
