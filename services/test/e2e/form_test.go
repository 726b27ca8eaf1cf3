package e2e_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"google.golang.org/grpc/metadata"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
	"github.com/rafflecast/rafflecast/services/test/browser"
	"github.com/rafflecast/rafflecast/services/test/testenv"
	"github.com/rafflecast/rafflecast/services/test/tokentest"
)

// formClient uses the page of a raffle as a browser without scripts does.
type formClient struct {
	t      *testing.T
	page   string // URL
	header http.Header
}

// do sends a request, and returns its answer and body.
func (c *formClient) do(method, body string, more ...string) (*http.Response, string) {
	c.t.Helper()
	request, err := http.NewRequestWithContext(c.t.Context(), method, c.page, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	request.Header = c.header.Clone()
	if method == http.MethodPost {
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i < len(more); i += 2 {
		request.Header.Add(more[i], more[i+1])
	}
	response, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		c.t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	return response, string(text)
}

// requestID returns the request id in the form of a page.
func (c *formClient) requestID(page string) string {
	c.t.Helper()
	found := regexp.MustCompile(`name="requestId" type="hidden" value="([0-9a-f-]{36})"`).FindStringSubmatch(page)
	if found == nil {
		c.t.Fatalf("the page has no request id:\n%s", page)
	}
	return found[1]
}

// submit sends a form, and returns what the page says afterwards, and that page.
func (c *formClient) submit(memberID, requestID string) (message, page string) {
	c.t.Helper()
	form := url.Values{"requestId": {requestID}}
	if memberID != "" {
		form.Set("memberId", memberID)
	}
	response, text := c.do(http.MethodPost, form.Encode())
	location, cookies := response.Header.Get("Location"), response.Cookies()
	if response.StatusCode != http.StatusSeeOther || !strings.HasSuffix(c.page+"#enter-message", location) || len(cookies) != 1 {
		c.t.Fatalf("%s, to %q with %v\n%s", response.Status, location, cookies, text)
	}
	if memberID != "" && strings.Contains(cookies[0].Value+location, memberID) {
		c.t.Errorf("the member's name is in %q or %q", cookies[0].Value, location)
	}
	response, page = c.do(http.MethodGet, "", "Cookie", cookies[0].Name+"="+cookies[0].Value)
	if cache := response.Header.Get("Cache-Control"); cache != "private, no-store" {
		c.t.Errorf("Cache-Control of the visitor's own page: %s", cache)
	}
	if cleared := response.Cookies(); len(cleared) != 1 || cleared[0].MaxAge >= 0 {
		c.t.Errorf("it would be said again: %v", cleared)
	}
	found := regexp.MustCompile(`id="enter-message"[^>]*>([^<]*)<`).FindStringSubmatch(page)
	if found == nil {
		c.t.Fatalf("the page has no message:\n%s", page)
	}
	return found[1], page
}

func (c *formClient) wantMessage(memberID, requestID, want string) (page string) {
	c.t.Helper()
	message, page := c.submit(memberID, requestID)
	if message != want {
		c.t.Errorf("%q with %s: %q, want %q", memberID, requestID, message, want)
	}
	return page
}

func TestForm_EntersOncePerPage(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id := b.client.createWith(t, &rafflev1.CreateRaffleRequest{Title: "Signed guitar", Winners: 1, MaxEntriesPerMember: 2})
	b.awaitRaffle(t, id)
	c := &formClient{t, fmt.Sprintf("%s/raffle/%d", b.web, id), http.Header{"Accept": {"text/html"}, "Accept-Language": {"en"}}}
	_, page := c.do(http.MethodGet, "")
	first := c.requestID(page)
	c.wantMessage("minji", first, "You are in. Good luck!")
	page = c.wantMessage("minji", first, "You are in. Good luck!") // once, however often it is sent
	c.wantMessage("jisoo", first, "You are in. Good luck!")        // a cache has given her the same page
	c.wantMessage("minji", c.requestID(page), "You are in, with 2 entries. Good luck!")
	page = c.wantMessage("minji", "6f9619ff-8b86-4d01-b42d-00cf4fc964ff", "This member already has every entry allowed.")
	c.wantMessage("", c.requestID(page), "Please type your member name.")
	testenv.Eventually(t, "three entries are counted", 10*time.Second, func() bool {
		return getOdds(t, fmt.Sprintf("%s/api/v1/raffles/%d/odds", b.web, id)).Entries == 3
	})
	c.header.Set("Accept-Language", "ko")
	c.wantMessage("민지", c.requestID(page), "이름은 영문, 숫자, _ . : @ - 만 64자까지 쓸 수 있어요.")
	c.header.Set("Accept-Language", "en")

	// The page of another origin enters nobody. Over plain HTTP only Origin says whose page it
	// is, which browsers send as null if the referrer policy forbids it.
	for _, other := range [][]string{{"Sec-Fetch-Site", "cross-site"}, {"Origin", "https://other.example"}, {"Origin", "null"}} {
		if response, _ := c.do(http.MethodPost, "memberId=eve", other...); response.StatusCode != http.StatusForbidden {
			t.Errorf("from another origin, %q: %s", other, response.Status)
		}
	}
	if response, _ := c.do(http.MethodPost, "memberId=", "Origin", b.web); response.StatusCode != http.StatusSeeOther {
		t.Errorf("from this origin: %s", response.Status)
	}
	// What a cookie says is not believed.
	_, page = c.do(http.MethodGet, "", "Cookie", `rafflecast-said=is=<b>&n=x`)
	if strings.Contains(page, "<b>") || !strings.Contains(page, "This was not accepted.") {
		t.Errorf("with a forged cookie:\n%s", page)
	}
	// If it is unknown whether the entry was placed, the same one is tried again.
	if _, err := b.participation.stop(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	page = c.wantMessage("ann", first, "The raffle is hard to reach right now. Press the button again in a moment: the same entry is never counted twice.")
	if got := c.requestID(page); got != first {
		t.Errorf("it is tried again as %s, want %s", got, first)
	}
}

func TestForm_EntersWhoIsSignedIn(t *testing.T) {
	t.Parallel()
	key := tokentest.NewKey(t, "1")
	auth := []string{"AUTH_JWKS=" + tokentest.File(t, key), "AUTH_ISSUER=" + tokentest.Issuer}
	b := setupWith(t, auth, auth)
	operator := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+key.Token("ann", "operator"))
	made, err := b.client.raffles.CreateRaffle(operator, &rafflev1.CreateRaffleRequest{Title: "Signed guitar", Winners: 1})
	if err != nil {
		t.Fatal(err)
	}
	id := made.GetRaffle().GetId()
	b.awaitRaffle(t, id)
	c := &formClient{t, fmt.Sprintf("%s/raffle/%d", b.web, id), http.Header{"Accept": {"text/html"}, "Accept-Language": {"en"}}}
	_, page := c.do(http.MethodGet, "")
	c.wantMessage("", c.requestID(page), "Please sign in to enter.")
	c.header.Set("Cookie", "__Host-rafflecast="+key.Token("minji", "member"))
	c.wantMessage("jisoo", c.requestID(page), "This was not accepted. Please try again later.") // herself only
	c.wantMessage("", c.requestID(page), "You are in. Good luck!")
}

func TestForm_WorksInABrowserWithoutScripts(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id := b.client.create(t, "Signed guitar", 1)
	b.awaitRaffle(t, id)
	tab := browser.Start(t, "en-US")
	tab.Do(chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := cdp.Call(ctx, target, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
		return err
	}))
	tab.Open(fmt.Sprintf("%s/raffle/%d", b.web, id))
	tab.Do(chromedp.Focus("#member-id"), chromedp.KeyEvent("minji"))
	tab.Click("#enter-button")
	tab.Await(`document.querySelector("#enter-message")?.textContent === "You are in. Good luck!"`)
	tab.Await(`location.hash === "#enter-message" && location.search === ""`)
	tab.Do(chromedp.Reload()) // does not send the form again, and says it once
	tab.Await(`document.querySelector("#enter-message")?.textContent === ""`)
	tab.Do(chromedp.Focus("#member-id"), chromedp.KeyEvent("minji"))
	tab.Click("#enter-button")
	tab.Await(`document.querySelector("#enter-message")?.textContent === "This member already has every entry allowed."`)
	testenv.Eventually(t, "the entry is counted", 10*time.Second, func() bool {
		return getOdds(t, fmt.Sprintf("%s/api/v1/raffles/%d/odds", b.web, id)).Entries == 1
	})
}
