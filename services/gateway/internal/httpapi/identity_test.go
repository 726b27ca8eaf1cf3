package httpapi

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rafflecast/rafflecast/services/gateway/internal/course"
	"github.com/rafflecast/rafflecast/services/gateway/internal/odds"
	"github.com/rafflecast/rafflecast/services/internal/access"
	"github.com/rafflecast/rafflecast/services/internal/config"
	"github.com/rafflecast/rafflecast/services/test/testenv"
	"github.com/rafflecast/rafflecast/services/test/tokentest"
)

// newTokens returns what verifies tokens of a key.
func newTokens(t *testing.T, key *tokentest.Key) *access.Tokens {
	t.Helper()
	var s access.Settings
	config.SetDefaults(&s)
	s.JWKS, s.Issuer, s.Leeway = tokentest.File(t, key), tokentest.Issuer, 0
	tokens, err := access.NewTokens(&s, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { tokens.Run(ctx) })
	t.Cleanup(func() { cancel(); running.Wait() })
	return tokens
}

// forMembers returns an update of a raffle that only members may watch.
func forMembers(raffleID, version int64) *odds.Update {
	u := update(raffleID, version)
	u.MembersOnly = true
	return u
}

func bearer(token string) []string { return []string{"Authorization", "Bearer " + token} }

func cookie(token string) []string { return []string{"Cookie", cookieName + "=" + token} }

func TestMembersOnly_NeedsAToken(t *testing.T) {
	t.Parallel()
	key := tokentest.NewKey(t, "1")
	tokens := newTokens(t, key)
	forEach(t, socketTransports, func(b *testBundle) { b.cfg.Tokens = tokens }, func(b *testBundle) {
		b.publish(update(1, 1))
		b.publish(forMembers(2, 1))
		token := key.Token("7", "member")
		expired := key.Token("7", "member", map[string]any{"exp": time.Now().Add(-time.Minute).Unix()})
		for _, path := range []string{"/api/v1/raffles/2/odds", "/api/v1/raffles/2/subscribe", "/api/v1/raffles/subscribe?id=1&id=2", "/api/v1/raffle/2/subscribe"} {
			got := b.refused(http.MethodGet, path, 401, "TOKEN_MISSING")
			if challenge := got.header.Get("WWW-Authenticate"); challenge != `Bearer realm="rafflecast"` {
				t.Errorf("%s: challenge %q", path, challenge)
			}
			got = b.refused(http.MethodGet, path, 401, "TOKEN_EXPIRED", cookie(expired)...)
			if challenge := got.header.Get("WWW-Authenticate"); !strings.Contains(challenge, `error="invalid_token"`) {
				t.Errorf("%s: challenge %q", path, challenge)
			}
			b.refused(http.MethodGet, path, 401, "TOKEN_INVALID", bearer("x")...)
			for _, header := range [][]string{bearer(token), cookie(token)} {
				resp := b.get(http.MethodGet, path, header...)
				if resp.StatusCode != http.StatusOK || !strings.HasPrefix(resp.Header.Get("Cache-Control"), "private, no-store") {
					t.Errorf("%s with a token: %s %v", path, resp.Status, resp.Header)
				}
				resp.Body.Close()
			}
		}
		// No token counts that is in a URL, where others see it.
		b.refused(http.MethodGet, "/api/v1/raffles/2/odds?token="+token, 400, "INVALID")
		b.refused(http.MethodGet, "/api/v1/raffles/2/odds?access_token="+token, 400, "INVALID")
		if status, _ := b.body(http.MethodGet, "/api/v1/raffles/1/odds"); status != http.StatusOK {
			t.Errorf("a public raffle: %d", status)
		}
	})
}

func TestMembersOnly_IsHiddenWithoutAuthentication(t *testing.T) {
	t.Parallel()
	forEach(t, allTransports, nil, func(b *testBundle) {
		b.publish(forMembers(2, 1))
		b.refused(http.MethodGet, "/api/v1/raffles/2/odds", 401, "TOKEN_MISSING")
		b.refused(http.MethodGet, "/api/v1/raffles/2/odds", 401, "TOKEN_INVALID", bearer("x")...)
	})
}

func TestMembersOnly_IsListedForMembers(t *testing.T) {
	t.Parallel()
	key := tokentest.NewKey(t, "1")
	tokens := newTokens(t, key)
	forEach(t, socketTransports, func(b *testBundle) { b.cfg.Tokens = tokens }, func(b *testBundle) {
		b.publish(update(1, 1))
		b.publish(forMembers(2, 1))
		for _, c := range []struct {
			header []string
			want   int
		}{{nil, 1}, {cookie("x"), 1}, {cookie(key.Token("7", "member")), 2}} {
			resp := b.get(http.MethodGet, "/api/v1/raffles", c.header...)
			var list struct{ Raffles []json.RawMessage }
			if err := json.NewDecoder(resp.Body).Decode(&list); err != nil || len(list.Raffles) != c.want {
				t.Errorf("%v: %d raffles, %v", c.header, len(list.Raffles), err)
			}
			if isPrivate := resp.Header.Get("Cache-Control") == "private, no-store"; isPrivate != (c.want == 2) {
				t.Errorf("%v: caches may keep it: %v", c.header, resp.Header)
			}
		}
	})
}

func TestMembersOnly_IsOnThePagesListForMembers(t *testing.T) {
	t.Parallel()
	forEach(t, socketTransports, nil, func(b *testBundle) {
		b.publish(update(1, 1))
		b.publish(forMembers(2, 1))
		for forMembers, want := range map[bool]int{false: 1, true: 2} {
			list, err := b.api.PageSource(new(course.Recorder)).Raffles(forMembers, "OPEN")
			if err != nil || len(list) != want || list[0].RaffleID != 1 {
				t.Errorf("for members %t: %d raffles, %v", forMembers, len(list), err)
			}
		}
	})
}

// The stream ends with the token, and a browser comes back with the cookie that was
// renewed in the meantime.
func TestMembersOnly_StreamEndsWithItsToken(t *testing.T) {
	t.Parallel()
	key := tokentest.NewKey(t, "1")
	tokens := newTokens(t, key)
	forEach(t, socketTransports, func(b *testBundle) { b.cfg.Tokens = tokens }, func(b *testBundle) {
		b.publish(forMembers(2, 1))
		// For three seconds at least, so that a busy machine opens the stream before.
		token := key.Token("7", "member", map[string]any{"exp": time.Now().Add(4 * time.Second).Unix()})
		stream := b.subscribe("/api/v1/raffles/2/subscribe", cookie(token)...)
		if got := stream.opening(); !strings.Contains(got, `"version":1`) {
			t.Fatalf("opening %q", got)
		}
		if got := stream.next(); got != "" {
			t.Fatalf("after the token has expired: %q", got)
		}
		b.refused(http.MethodGet, "/api/v1/raffles/2/subscribe", 401, "TOKEN_EXPIRED", cookie(token)...)
		renewed := append(cookie(key.Token("7", "member")), "Last-Event-ID", "2:"+testEpoch+":1")
		again := b.subscribe("/api/v1/raffles/2/subscribe", renewed...)
		if got := again.opening(); !isHeartbeat(got) {
			t.Errorf("back again: %q", got)
		}
	})
}

// A long poll ends with its token, and tells nothing afterwards.
func TestMembersOnly_LongPollEndsWithItsToken(t *testing.T) {
	t.Parallel()
	key := tokentest.NewKey(t, "1")
	tokens := newTokens(t, key)
	forEach(t, socketTransports, func(b *testBundle) { b.cfg.Tokens = tokens }, func(b *testBundle) {
		b.publish(forMembers(2, 1))
		token := key.Token("7", "member", map[string]any{"exp": time.Now().Add(2 * time.Second).Unix()})
		header := append(cookie(token), "If-None-Match", `"2:`+testEpoch+`:1"`)
		from := time.Now()
		b.refused(http.MethodGet, "/api/v1/raffles/2/odds?wait=60s", 401, "TOKEN_EXPIRED", header...)
		if took := time.Since(from); took > 30*time.Second {
			b.t.Errorf("it ended after %v", took)
		}
	})
}

// After a restore, an id may name another raffle. Who watches the one before, which was
// for everybody, is told nothing of one for members.
func TestMembersOnly_IsHiddenFromThoseWhoWatchedAnotherRaffle(t *testing.T) {
	t.Parallel()
	forEach(t, allTransports, nil, func(b *testBundle) {
		secret := nextLife(1, 1) // which a cache writes to
		secret.MembersOnly = true
		b.publish(update(1, 1))
		b.publish(update(2, 1))
		one, several := b.subscribe(subscribe1), b.subscribe("/api/v1/raffles/subscribe?id=2&id=1")
		one.opening()
		several.opening()
		several.next()
		published := make(chan struct{})
		go func() {
			defer close(published)
			if err := testenv.Await("a client waits", 10*time.Second, func() bool { return b.hub.Open() == 3 }); err != nil {
				b.t.Error(err) // the request ends by itself
			}
			b.publish(secret)
		}()
		b.refused(http.MethodGet, "/api/v1/raffles/1/odds?wait=60s", 401, "TOKEN_MISSING", "If-None-Match", `"1:`+testEpoch+`:1"`)
		<-published
		for _, stream := range []*events{one, several} {
			if got := stream.next(); got != "" {
				b.t.Errorf("the stream goes on with %q", got)
			}
		}
	})
}

func TestSession_PutsTheTokenIntoACookie(t *testing.T) {
	t.Parallel()
	key := tokentest.NewKey(t, "1")
	tokens := newTokens(t, key)
	forEach(t, socketTransports, func(b *testBundle) { b.cfg.Tokens = tokens }, func(b *testBundle) {
		const path = "/api/v1/session"
		isKept := func(resp *http.Response) bool { return resp.Header.Get("Cache-Control") != "no-store" }
		read := func(header ...string) (s session) {
			resp := b.get(http.MethodGet, path, header...)
			if err := json.NewDecoder(resp.Body).Decode(&s); err != nil || isKept(resp) {
				t.Fatalf("%v %v", err, resp.Header)
			}
			return s
		}
		if s := read(); !s.Required || s.Member != nil {
			t.Errorf("without a cookie: %+v", s)
		}
		token := key.Token("7", "member")
		b.refused(http.MethodPost, path, 401, "TOKEN_MISSING", cookie(token)...)
		b.refused(http.MethodPost, path, 401, "TOKEN_INVALID", bearer("x")...)
		resp := b.get(http.MethodPost, path, bearer(token)...)
		cookies := resp.Cookies()
		if resp.StatusCode != http.StatusOK || len(cookies) != 1 || isKept(resp) {
			t.Fatalf("%s, %v", resp.Status, resp.Header)
		}
		c := cookies[0]
		if c.Name != "__Host-rafflecast" || c.Value != token || !c.Secure || !c.HttpOnly || c.Path != "/" || c.Domain != "" ||
			c.SameSite != http.SameSiteStrictMode || c.MaxAge < 3000 || c.MaxAge > 3600 {
			t.Errorf("cookie %+v", c)
		}
		if s := read(cookie(token)...); s.Member == nil || *s.Member != "7" || s.ExpiresAt == nil {
			t.Errorf("with the cookie: %+v", s)
		}
		if s := read(cookie("x")...); !s.Required || s.Member != nil {
			t.Errorf("with another cookie: %+v", s)
		}
		resp = b.get(http.MethodDelete, path, cookie(token)...)
		if c := resp.Cookies(); resp.StatusCode != http.StatusNoContent || isKept(resp) || len(c) != 1 || c[0].MaxAge >= 0 || c[0].Value != "" {
			t.Errorf("after the end: %s %v", resp.Status, c)
		}
	})
}

func TestSession_TellsThatNobodyIsAuthenticated(t *testing.T) {
	t.Parallel()
	forEach(t, allTransports, nil, func(b *testBundle) {
		if _, body := b.body(http.MethodGet, "/api/v1/session"); strings.TrimSpace(body) != `{"required":false,"member":null,"expiresAt":null}` {
			t.Error(body)
		}
		b.refused(http.MethodPost, "/api/v1/session", 405, "METHOD_NOT_ALLOWED")
	})
}

func TestForward_PassesOnTheTokenOfTheMember(t *testing.T) {
	t.Parallel()
	key := tokentest.NewKey(t, "1")
	tokens := newTokens(t, key)
	f := setupForwarding(t, func(c *Config) { c.Tokens = tokens }, answerJSON(http.StatusOK, `{}`))
	token := key.Token("7", "member")
	for _, c := range []struct{ method, path string }{
		{"POST", "/api/v1/raffles/1/entries"},
		{"POST", "/api/v1/raffle/1"},
		{"POST", "/api/v1/raffles/1/entries:withdraw"},
		{"GET", "/api/v1/raffles/1/entries"},
	} {
		f.refused(c.method, c.path, 401, "TOKEN_MISSING")
		f.refused(c.method, c.path, 401, "TOKEN_INVALID", cookie("x")...)
		if got := f.taken(); len(got) > 0 {
			t.Errorf("%s %s is forwarded without a token", c.method, c.path)
		}
		for _, header := range [][]string{bearer(token), cookie(token)} {
			resp := f.get(c.method, c.path, header...)
			got := f.taken()
			if resp.StatusCode != http.StatusOK || len(got) != 1 || got[0].Header.Get("Authorization") != "Bearer "+token || got[0].Header.Get("Cookie") != "" {
				t.Errorf("%s %s: %s, forwarded %v", c.method, c.path, resp.Status, got)
			}
		}
	}
}

// The draw of a raffle for members is shown to nobody else, and to nobody at all where
// no token is accepted.
func TestMembersOnly_HidesTheDraw(t *testing.T) {
	t.Parallel()
	key := tokentest.NewKey(t, "1")
	tokens := newTokens(t, key)
	token := key.Token("7", "member")
	for _, c := range []struct {
		tokens *access.Tokens
		header []string
		reason string // "" if it is shown
	}{
		{nil, nil, "TOKEN_MISSING"},
		{nil, bearer(token), "TOKEN_INVALID"},
		{tokens, nil, "TOKEN_MISSING"},
		{tokens, cookie("x"), "TOKEN_INVALID"},
		{tokens, cookie(token), ""},
	} {
		f := setupForwarding(t, func(cfg *Config) { cfg.Tokens = c.tokens }, answerJSON(http.StatusOK, `{}`))
		f.publish(forMembers(2, 1))
		for _, path := range []string{"draw", "winners", "tickets/1", "checkpoint", "log"} {
			path = "/api/v1/raffles/2/" + path
			if c.reason != "" {
				f.refused(http.MethodGet, path, 401, c.reason, c.header...)
			} else if resp := f.get(http.MethodGet, path, c.header...); resp.StatusCode != http.StatusOK {
				t.Errorf("%s with a token: %s", path, resp.Status)
			}
			if got := f.taken(); len(got) > 0 && c.reason != "" {
				t.Errorf("%s is forwarded", path)
			}
		}
	}
}

// While it is not known whether a raffle is for members, nothing is told of its draw:
// participation may take every request for that of its owner.
func TestMembersOnly_HidesTheDrawOfARaffleThatIsNotKnown(t *testing.T) {
	t.Parallel()
	f := setupForwarding(t, func(c *Config) { c.Tokens = newTokens(t, tokentest.NewKey(t, "1")) }, answerJSON(http.StatusOK, `{}`))
	for _, path := range []string{"draw", "winners", "tickets/1", "checkpoint", "log"} {
		path = "/api/v1/raffles/2/" + path
		f.refused(http.MethodGet, path, 404, "RAFFLE_NOT_FOUND")
		f.feed.notReady = true
		f.refused(http.MethodGet, path, 503, "NOT_READY")
		f.feed.notReady = false
		if got := f.taken(); len(got) > 0 {
			t.Errorf("%s is forwarded", path)
		}
	}
}

// A log of a raffle for members, which never changes, is kept by no cache.
func TestMembersOnly_LogIsNotCached(t *testing.T) {
	t.Parallel()
	key := tokentest.NewKey(t, "1")
	tokens := newTokens(t, key)
	f := setupForwarding(t, func(c *Config) { c.Tokens = tokens }, answerRaw("application/octet-stream"))
	f.publish(update(1, 1))
	f.publish(forMembers(2, 1))
	for id, isKept := range map[string]bool{"1": true, "2": false} {
		resp := f.get(http.MethodGet, "/api/v1/raffles/"+id+"/log", cookie(key.Token("7", "member"))...)
		if got := resp.Header.Get("Cache-Control"); resp.StatusCode != http.StatusOK || (got != "no-store") != isKept {
			t.Errorf("raffle %s: %s %v", id, resp.Status, resp.Header)
		}
	}
}

// What everybody may read is asked for in nobody's name.
func TestForward_PassesOnNoTokenThatIsNotNeeded(t *testing.T) {
	t.Parallel()
	key := tokentest.NewKey(t, "1")
	tokens := newTokens(t, key)
	f := setupForwarding(t, func(c *Config) { c.Tokens = tokens }, answerJSON(http.StatusOK, `{}`))
	f.publish(update(1, 1))
	for _, header := range [][]string{bearer("x"), bearer(key.Token("7", "member")), cookie("x")} {
		resp, got := f.get(http.MethodGet, "/api/v1/raffles/1/draw", header...), f.taken()
		if resp.StatusCode != http.StatusOK || len(got) != 1 || got[0].Header.Get("Authorization") != "" {
			t.Errorf("%v: %s, forwarded %v", header[0], resp.Status, got)
		}
	}
}

// A token in a URL is never looked at, whatever it is called there.
func TestTokenOf_IgnoresURLs(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"token", "access_token", "accessToken", "authorization", "Authorization", "bearer", "jwt", cookieName} {
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			url := "/api/v1/raffles/1/subscribe?" + name + "=secret#" + name + "=secret"
			r := httptest.NewRequestWithContext(t.Context(), method, url, strings.NewReader(name+"=secret"))
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			r.Header.Set("Referer", "https://example.org/?"+name+"=secret")
			if token, err := tokenOf(r); token != "" || err != nil {
				t.Errorf("%s %s: %q, %v", method, name, token, err)
			}
		}
	}
}
