package e2e_test

import (
	"context"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"google.golang.org/grpc/metadata"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
	"github.com/rafflecast/rafflecast/services/test/testenv"
	"github.com/rafflecast/rafflecast/services/test/tokentest"
)

// startBrowser starts a headless Chromium, which ends with the test, and returns the
// context of its one tab.
func startBrowser(t *testing.T) context.Context {
	t.Helper()
	path := testenv.NeedProgram(t, "chromium")
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path),
		chromedp.UserDataDir(t.TempDir()),
		chromedp.NoSandbox, // Chromium has no sandbox for root
		chromedp.DisableGPU,
		chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-component-update", true),
		chromedp.Flag("lang", "en-US"),
	)
	allocator, cancel := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(cancel)
	tab, cancel := chromedp.NewContext(allocator, chromedp.WithErrorf(t.Logf))
	t.Cleanup(func() { _ = chromedp.Cancel(tab); cancel() })
	if err := chromedp.Do(
		tab,
	); err != nil { // the first call starts the browser, and its context bounds the browser's life
		t.Fatal(err)
	}
	return tab
}

// do runs actions, for at most 30 s.
func do(t *testing.T, tab context.Context, actions ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	ctx, cancel := context.WithTimeout(tab, 30*time.Second)
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		t.Fatal(err)
	}
}

// evaluate runs JavaScript in the page.
func evaluate(t *testing.T, tab context.Context, script string) {
	t.Helper()
	if _, err := chromedp.Run(tab, chromedp.Evaluate[any](script)); err != nil {
		t.Fatal(err)
	}
}

// awaitTrue waits until a JavaScript expression is true, for at most 20 s.
func awaitTrue(t *testing.T, tab context.Context, expression string, args ...any) {
	t.Helper()
	expression = fmt.Sprintf(expression, args...)
	if _, err := chromedp.Run(
		tab,
		chromedp.Poll[bool](expression, chromedp.WithPollingTimeout(20*time.Second)),
	); err != nil {
		text, _ := chromedp.Run(tab, chromedp.Evaluate[string](`document.body.innerText`))
		t.Fatalf("did not become true: %s: %v; the page's text:\n%s", expression, err, text)
	}
}

// openPage opens the page of a raffle with a title, and waits until its odds are live.
func (b *testBundle) openPage(t *testing.T, tab context.Context, id int64, title string) {
	t.Helper()
	do(t, tab, chromedp.EmulateViewport(1200, 900), chromedp.Navigate(fmt.Sprintf("%s/raffle/%d", b.web, id)))
	awaitTrue(t, tab, `document.querySelector("#title")?.textContent === %q`, title)
	awaitTrue(t, tab, `document.querySelector("#connection").dataset.connection === "live"`)
}

func TestPage_ShowsTheOddsMove(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id := b.client.create(t, "Signed guitar", 3)
	b.awaitRaffle(t, id)
	tab := startBrowser(t)
	b.openPage(t, tab, id, "Signed guitar")
	awaitTrue(t, tab, `document.querySelector("#odds").dataset.odds === ""`) // nobody has entered
	evaluate(t, tab, `window.loadedOnce = true`)

	// Members enter over gRPC.
	for i := range 40 {
		b.client.enter(t, id, fmt.Sprint("member-", i))
	}
	awaitTrue(t, tab, `document.querySelector("#odds").textContent.includes("7.5")`)
	awaitTrue(t, tab, `document.querySelector("#entries").textContent.trim() === "40"`)

	// Another one enters on the page, with the keyboard alone.
	do(t, tab, chromedp.Focus("#member-id"), chromedp.KeyEvent("minji"), chromedp.KeyEvent(kb.Enter))
	awaitTrue(t, tab, `document.querySelector("#entries").textContent.trim() === "41"`)
	awaitTrue(t, tab, `document.querySelector("#enter-message").textContent.trim() !== ""`)

	// The raffle is closed, which ends the stream.
	b.client.closeRaffle(t, id)
	awaitTrue(t, tab, `document.querySelector("#state").dataset.state === "CLOSED"`)
	awaitTrue(t, tab, `document.querySelector("#connection").dataset.connection === "ended"`)
	awaitTrue(t, tab, `document.querySelector("#enter-button").disabled`)
	awaitTrue(t, tab, `window.loadedOnce`) // the page was not reloaded
}

func TestPlainEventSource_ReadsTheStream(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id := b.client.create(t, `<img src=x onerror="window.broken=1">`, 1)
	b.awaitRaffle(t, id)
	tab := startBrowser(t)
	do(t, tab, chromedp.Navigate(fmt.Sprintf("%s/raffle/%d", b.web, id)))
	awaitTrue(t, tab, `document.querySelector("#title")?.textContent.startsWith("<img")`) // as text
	evaluate(t, tab, fmt.Sprintf(`
		window.seen = [];
		window.source = new EventSource("/api/v1/raffle/%d/subscribe");
		source.addEventListener("raffle-winning-probability", e => {
			const odds = JSON.parse(e.data);
			seen.push([odds.id, odds.winnerProbability, e.lastEventId]);
		});`, id)) // the path of the first version
	awaitTrue(t, tab, `seen.length === 1 && seen[0][1] === null && seen[0][2].endsWith(":1")`)
	b.client.enter(t, id, "7")
	awaitTrue(t, tab, `seen.length === 2 && seen[1][1] === 100 && seen[1][2].endsWith(":2")`)
	b.client.enter(t, id, "8")
	awaitTrue(t, tab, `seen.length === 3 && seen[2][0] === %d && seen[2][1] === 50`, id)
	b.client.closeRaffle(t, id)
	// After the final event and the end of the stream, 204 stops the EventSource.
	awaitTrue(t, tab, `seen.length === 4 && source.readyState === EventSource.CLOSED`)
	awaitTrue(t, tab, `!window.broken`)
}

// Where callers are authenticated, the page shows who one is and asks for no name, and a
// raffle for members appears once one has signed in.
func TestPage_ShowsWhoOneIs(t *testing.T) {
	t.Parallel()
	key := tokentest.NewKey(t, "1")
	auth := []string{"AUTH_JWKS=" + tokentest.File(t, key), "AUTH_ISSUER=" + tokentest.Issuer}
	b := setupWith(t, auth, auth)
	operator := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+key.Token("ann", "operator"))
	var ids []int64
	for _, visibility := range []rafflev1.Raffle_Visibility{rafflev1.Raffle_PUBLIC, rafflev1.Raffle_MEMBERS} {
		made, err := b.client.raffles.CreateRaffle(operator, &rafflev1.CreateRaffleRequest{Title: "Signed guitar", Winners: 1, MaxEntriesPerMember: 9, Visibility: visibility})
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, made.GetRaffle().GetId())
	}
	testenv.AwaitStatus(t, fmt.Sprintf("%s/api/v1/raffles/%d/odds", b.web, ids[1]), http.StatusUnauthorized)
	b.awaitRaffle(t, ids[0])
	tab := startBrowser(t)
	b.openPage(t, tab, ids[0], "Signed guitar")
	const hidden = `document.querySelector("#%s").checkVisibility() === %t`
	awaitTrue(t, tab, `document.querySelector("#who").textContent.includes("sign in")`)
	awaitTrue(t, tab, hidden, "who", true)
	awaitTrue(t, tab, hidden, "member-id", false)
	awaitTrue(t, tab, `document.querySelector("#enter-button").disabled`)

	do(t, tab, chromedp.Navigate(fmt.Sprintf("%s/raffle/%d", b.web, ids[1])))
	awaitTrue(t, tab, `document.querySelector("#missing-heading").textContent.includes("for members") && document.querySelector("#missing-view").checkVisibility()`)

	// The token goes into the cookie, which scripts can't read.
	evaluate(t, tab, fmt.Sprintf(`fetch("/api/v1/session", {method: "POST", headers: {Authorization: "Bearer %s"}}).then(r => window.signedIn = r.ok)`,
		key.Token("7", "member")))
	awaitTrue(t, tab, `window.signedIn === true`)
	awaitTrue(t, tab, `document.cookie === ""`)
	// The odds appear by themselves, by an EventSource that sends the cookie.
	awaitTrue(t, tab, `document.querySelector("#raffle-view").checkVisibility() && document.querySelector("#connection").dataset.connection === "live"`)

	b.openPage(t, tab, ids[0], "Signed guitar")
	awaitTrue(t, tab, `document.querySelector("#who").textContent.includes("7")`)
	do(t, tab, chromedp.Click("#enter-button"))
	awaitTrue(t, tab, `document.querySelector("#enter-message").textContent.includes("7")`)
	awaitTrue(t, tab, `document.querySelector("#entries").textContent.trim() === "1"`)
}
