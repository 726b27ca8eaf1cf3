package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"google.golang.org/grpc/metadata"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
	"github.com/rafflecast/rafflecast/services/test/browser"
	"github.com/rafflecast/rafflecast/services/test/testenv"
	"github.com/rafflecast/rafflecast/services/test/tokentest"
)

// securedBundle is a testBundle whose services accept tokens, with a raffle for everybody
// and one for members.
type securedBundle struct {
	*testBundle
	key                *tokentest.Key
	public, forMembers int64
}

// setupSecured starts the services with the gateway's settings.
func setupSecured(t *testing.T, gateway ...string) *securedBundle {
	t.Helper()
	return setupSecuredWith(t, nil, gateway, nil)
}

// setupSecuredWith starts the services with these settings, and makes raffles with a draw, or
// none if it is nil.
func setupSecuredWith(t *testing.T, participation, gateway []string, draw *rafflev1.Draw) *securedBundle {
	t.Helper()
	key := tokentest.NewKey(t, "1")
	auth := []string{"AUTH_JWKS=" + tokentest.File(t, key), "AUTH_ISSUER=" + tokentest.Issuer}
	b := &securedBundle{testBundle: setupWith(t, append(participation, auth...), append(gateway, auth...)), key: key}
	for visibility, id := range map[rafflev1.Raffle_Visibility]*int64{rafflev1.Raffle_PUBLIC: &b.public, rafflev1.Raffle_MEMBERS: &b.forMembers} {
		made, err := b.client.raffles.CreateRaffle(b.as(t, "operator"), &rafflev1.CreateRaffleRequest{
			Title: "Raffle for " + visibility.String(), Winners: 1, MaxEntriesPerMember: 9, Visibility: visibility, Draw: draw,
		})
		if err != nil {
			t.Fatal(err)
		}
		*id = made.GetRaffle().GetId()
	}
	b.awaitRaffle(t, b.public)
	testenv.AwaitStatus(t, fmt.Sprintf("%s/api/v1/raffles/%d/odds", b.web, b.forMembers), http.StatusUnauthorized)
	return b
}

// as returns a context for calls with a token of a scope.
func (b *securedBundle) as(t *testing.T, scope string) context.Context {
	t.Helper()
	return metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+b.key.Token("ann", scope))
}

// bearer and cookie are headers with the token of a member.
func (b *securedBundle) bearer() []string {
	return []string{"Authorization", "Bearer " + b.key.Token("7", "member")}
}

func (b *securedBundle) cookie() []string {
	return []string{"Cookie", "__Host-rafflecast=" + b.key.Token("7", "member")}
}

// entries returns how many entries the raffle for everybody has.
func (b *securedBundle) entries(t *testing.T) int64 {
	t.Helper()
	return b.entriesOf(b.as(t, "operator"), t, b.public)
}

// answer is what a request was answered with.
type answer struct {
	status int
	header http.Header
	body   string
	reason string // of an error
}

// ask sends a request; pairs are header names and values. It follows no redirect.
func ask(t *testing.T, method, url, body string, pairs ...string) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(pairs); i += 2 {
		req.Header.Add(pairs[i], pairs[i+1])
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	var failed struct{ Error struct{ Reason string } }
	_ = json.Unmarshal(text, &failed) // it may be no JSON
	return answer{resp.StatusCode, resp.Header, string(text), failed.Error.Reason}
}

// A page of an origin that is allowed reads odds and enters, with a token of its own. A page
// of another origin does neither, and no page but our own acts by the cookie of its visitor.
func TestOrigins_AllowedOnesReadOddsAndEnter(t *testing.T) {
	t.Parallel()
	const mine, other = "https://shop.example", "https://evil.example"
	b := setupSecured(t, "GATEWAY_CORS_ORIGINS="+mine)
	token := b.key.Token("7", "member")
	authorization, cookie := "Bearer "+token, "__Host-rafflecast="+token
	raffle := fmt.Sprintf("%s/api/v1/raffles/%d", b.web, b.public)
	for _, url := range []string{raffle + "/entries", fmt.Sprintf("%s/api/v1/raffle/%d", b.web, b.public), raffle + "/entries:withdraw", raffle + "/odds"} {
		for origin, isAllowed := range map[string]bool{mine: true, other: false, "null": false, mine + ".evil.example": false} {
			method := map[bool]string{true: http.MethodGet, false: http.MethodPost}[strings.HasSuffix(url, "/odds")]
			got := ask(t, http.MethodOptions, url, "", "Origin", origin, "Access-Control-Request-Method", method,
				"Access-Control-Request-Headers", "authorization,content-type")
			if allows := got.status < 300 && got.header.Get("Access-Control-Allow-Origin") == origin; allows != isAllowed ||
				got.header.Get("Access-Control-Allow-Credentials") != "" {
				t.Errorf("preflight of %s for %s: %d %v", origin, url, got.status, got.header)
			}
		}
	}
	for name, c := range map[string]struct {
		header []string
		status int
		reason string
	}{
		"allowed":                     {[]string{"Origin", mine, "Sec-Fetch-Site", "cross-site", "Authorization", authorization}, 200, ""},
		"allowed, with the cookie":    {[]string{"Origin", mine, "Sec-Fetch-Site", "same-site", "Cookie", cookie}, 401, "TOKEN_MISSING"},
		"allowed, in an old browser":  {[]string{"Origin", mine, "Cookie", cookie}, 401, "TOKEN_MISSING"},
		"allowed, without anything":   {[]string{"Origin", mine, "Sec-Fetch-Site", "cross-site"}, 401, "TOKEN_MISSING"},
		"another":                     {[]string{"Origin", other, "Sec-Fetch-Site", "cross-site", "Authorization", authorization}, 403, "CROSS_ORIGIN"},
		"another, with the cookie":    {[]string{"Origin", other, "Sec-Fetch-Site", "same-site", "Cookie", cookie}, 403, "CROSS_ORIGIN"},
		"our own page":                {[]string{"Origin", b.web, "Sec-Fetch-Site", "same-origin", "Cookie", cookie}, 200, ""},
		"our own page, in an old one": {[]string{"Origin", b.web, "Cookie", cookie}, 200, ""},
		"no page":                     {[]string{"Cookie", cookie}, 200, ""},
		"a sandboxed page":            {[]string{"Origin", "null", "Sec-Fetch-Site", "cross-site", "Cookie", cookie}, 403, "CROSS_ORIGIN"},
	} {
		before := b.entries(t)
		got := ask(t, http.MethodPost, raffle+"/entries", "{}", c.header...)
		made := b.entries(t) - before
		if got.status != c.status || got.reason != c.reason || made != map[bool]int64{true: 1, false: 0}[c.status == 200] {
			t.Errorf("%s: %d %s, %d entries", name, got.status, got.body, made)
		}
		wantReadable := c.header[1] == mine
		if isReadable := got.header.Get("Access-Control-Allow-Origin") == mine; isReadable != wantReadable || got.header.Get("Access-Control-Allow-Credentials") != "" {
			t.Errorf("%s: a page may read the answer: %t, %v", name, isReadable, got.header)
		}
	}
	// The form for browsers without scripts is a simple request, which needs no preflight.
	before := b.entries(t)
	page := &formClient{t: t, page: fmt.Sprintf("%s/raffle/%d", b.web, b.public), header: http.Header{}}
	_, _ = page.do(http.MethodPost, "requestId=6f2c2bd0-5f0e-4c11-9d86-1c3c1a0d5a0e", "Origin", mine, "Sec-Fetch-Site", "same-site", "Cookie", cookie)
	if b.entries(t) != before {
		t.Error("a form of another origin enters by the cookie")
	}
	for origin, want := range map[string]string{mine: mine, other: ""} {
		got := ask(t, http.MethodGet, raffle+"/odds", "", "Origin", origin, "Sec-Fetch-Site", "cross-site")
		if got.status != 200 || got.header.Get("Access-Control-Allow-Origin") != want || !strings.Contains(strings.Join(got.header.Values("Vary"), ","), "Origin") {
			t.Errorf("%s reads the odds: %d %v", origin, got.status, got.header)
		}
	}
}

// The same in a browser, which sends and keeps back what it does.
func TestOrigins_InABrowser(t *testing.T) {
	t.Parallel()
	blank := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = w.Write([]byte("<!doctype html><title>shop</title>"))
	})
	// Other ports of the gateway's host: other origins of the same site, to which browsers
	// send the cookie.
	mine, other := httptest.NewServer(blank), httptest.NewServer(blank)
	defer mine.Close()
	defer other.Close()
	b := setupSecured(t, "GATEWAY_CORS_ORIGINS="+mine.URL)
	raffle := fmt.Sprintf("%s/api/v1/raffles/%d", b.web, b.public)
	token := b.key.Token("7", "member")
	tab := browser.Start(t, "en-US")
	// fetch returns the status of an answer, or failed if the page can't read it.
	fetch := func(url, options string) string {
		tab.Evaluate(fmt.Sprintf(`window.got = ""; fetch(%q, %s).then(r => window.got = String(r.status), () => window.got = "failed")`, url, options))
		tab.Await(`window.got !== ""`)
		return tab.Text(`window.got`)
	}
	const withCookie = `{method: "POST", credentials: "include"}`
	withToken := fmt.Sprintf(`{method: "POST", headers: {"Authorization": "Bearer %s", "Content-Type": "application/json"}, body: "{}"}`, token)

	b.openPage(tab, b.public)
	if got := fetch("/api/v1/session", fmt.Sprintf(`{method: "POST", headers: {Authorization: "Bearer %s"}}`, token)); got != "200" {
		t.Fatalf("signing in: %s", got)
	}
	if got := fetch(raffle+"/entries", withCookie); got != "200" || b.entries(t) != 1 { // the cookie counts
		t.Errorf("our own page enters: %s", got)
	}
	for origin, want := range map[*httptest.Server]string{mine: "200", other: "failed"} {
		tab.Open(origin.URL)
		before := b.entries(t)
		if got := fetch(raffle+"/odds", `{}`); got != want {
			t.Errorf("allowed %t: reading odds: %s", origin == mine, got)
		}
		if got := fetch(raffle+"/entries", withToken); got != want {
			t.Errorf("allowed %t: entering: %s", origin == mine, got)
		}
		if got := fetch(raffle+"/entries", withCookie); got != "failed" {
			t.Errorf("allowed %t: entering by the cookie: %s", origin == mine, got)
		}
		if made := b.entries(t) - before; made != map[bool]int64{true: 1, false: 0}[origin == mine] {
			t.Errorf("allowed %t: %d entries", origin == mine, made)
		}
	}
}
