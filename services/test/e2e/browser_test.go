package e2e_test

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"google.golang.org/grpc/metadata"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
	"github.com/rafflecast/rafflecast/services/test/browser"
	"github.com/rafflecast/rafflecast/services/test/testenv"
	"github.com/rafflecast/rafflecast/services/test/tokentest"
)

// openPage opens the page of a raffle, and waits until its odds are live.
func (b *testBundle) openPage(tab *browser.Tab, id int64) {
	tab.Do(chromedp.EmulateViewport(1200, 900))
	tab.Open(fmt.Sprintf("%s/raffle/%d", b.web, id))
	tab.Await(`document.querySelector("#connection").dataset.connection === "live"`)
}

// figureIs waits until the largest text on the page matches a regular expression.
func figureIs(tab *browser.Tab, pattern string) {
	tab.Await(`new RegExp(%q).test(document.querySelector("#figure").firstElementChild.textContent)`, pattern)
}

func TestPage_ShowsTheOddsMove(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id := b.client.create(t, "Signed guitar", 3)
	b.awaitRaffle(t, id)
	tab := browser.Start(t, "en-US")
	b.openPage(tab, id)
	figureIs(tab, "^100%$") // nobody has entered
	tab.Evaluate(`window.loadedOnce = true`)

	// Members enter over gRPC.
	for i := range 40 {
		b.client.enter(t, id, fmt.Sprint("member-", i))
	}
	figureIs(tab, "^1 in 14$")
	tab.Await(`document.querySelector("#raffle").dataset.entries === "40"`)

	// Another one enters on the page, with the keyboard alone.
	tab.Do(chromedp.Focus("#member-id"), chromedp.KeyEvent("minji"), chromedp.KeyEvent(kb.Enter))
	tab.Await(`document.querySelector("#enter-message").textContent === "You are in, minji. Good luck!"`)
	tab.Await(`document.querySelector("#raffle").dataset.entries === "41"`)
	figureIs(tab, "^7.32%$") // her own chance
	tab.Await(`document.querySelector("#receipt").checkVisibility() && !document.querySelector("#enter-form").checkVisibility()`)

	// The raffle is closed, which ends the stream.
	b.client.closeRaffle(t, id)
	tab.Await(`document.querySelector("#state").dataset.state === "CLOSED"`)
	tab.Await(`document.querySelector("#connection").dataset.connection === "ended"`)
	tab.Await(`window.loadedOnce`) // the page was not reloaded

	// What she holds is kept, and the service knows it as well.
	tab.Do(chromedp.Reload())
	tab.Await(`document.querySelector("#raffle").dataset.own === "1"`)
	tab.Evaluate(`localStorage.removeItem(Object.keys(localStorage).find((key) => key.startsWith("rafflecast.entries")))`)
	tab.Do(chromedp.Reload())
	tab.Await(`document.querySelector("#raffle").dataset.own === "1"`)
}

// A member enters several times, and withdraws one entry, on the page.
func TestPage_WithdrawsAnEntry(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id := b.client.createWith(t, &rafflev1.CreateRaffleRequest{Title: "Signed guitar", Winners: 2, MaxEntriesPerMember: 3})
	b.awaitRaffle(t, id)
	for i := range 30 {
		b.client.enter(t, id, fmt.Sprint("member-", i))
	}
	tab := browser.Start(t, "en-US")
	b.openPage(tab, id)
	figureIs(tab, "^1 in 16$")
	tab.Await(`document.querySelector("#stub-note").textContent.includes("Up to 3 entries")`)
	tab.Do(chromedp.Focus("#member-id"), chromedp.KeyEvent("minji"), chromedp.KeyEvent(kb.Enter))
	for own := 1; own <= 3; own++ {
		tab.Await(`document.querySelector("#raffle").dataset.own === "%d" && document.querySelector("#raffle").dataset.entries === "%d"`, own, 30+own)
		if own < 3 {
			tab.Await(`!document.querySelector("#enter-button").ariaDisabled`)
			tab.Click("#enter-button")
		}
	}
	figureIs(tab, `^17.6%$`) // 1 - C(30,2)/C(33,2), and not the 6.06 % of each entry
	tab.Await(`document.querySelector("#stub-note").textContent.includes("all 3 entries")`)
	tab.Await(`!document.querySelector("#enter-form").checkVisibility()`)

	tab.Click("#withdraw-button") // it asks first
	tab.Click("#withdraw-keep")
	tab.Await(`document.querySelector("#raffle").dataset.own === "3" && !document.querySelector("#withdraw-keep").checkVisibility()`)
	tab.Click("#withdraw-button")
	tab.Click("#withdraw-button")
	tab.Await(`document.querySelector("#raffle").dataset.own === "2" && document.querySelector("#raffle").dataset.entries === "32"`)
	tab.Await(`document.querySelector("#enter-form").checkVisibility()`)
}

func TestPlainEventSource_ReadsTheStream(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id := b.client.create(t, `<img src=x onerror="window.broken=1">`, 1)
	b.awaitRaffle(t, id)
	tab := browser.Start(t, "en-US")
	tab.Do(chromedp.Navigate(fmt.Sprintf("%s/raffle/%d", b.web, id)))
	tab.Await(`document.querySelector("#title")?.textContent.includes("<img")`) // as text
	tab.Evaluate(fmt.Sprintf(`
		window.seen = [];
		window.source = new EventSource("/api/v1/raffle/%d/subscribe");
		source.addEventListener("raffle-winning-probability", e => {
			const odds = JSON.parse(e.data);
			seen.push([odds.id, odds.winnerProbability, e.lastEventId]);
		});`, id)) // the path of the first version
	tab.Await(`seen.length === 1 && seen[0][1] === null && seen[0][2].endsWith(":1")`)
	b.client.enter(t, id, "7")
	tab.Await(`seen.length === 2 && seen[1][1] === 100 && seen[1][2].endsWith(":2")`)
	b.client.enter(t, id, "8")
	tab.Await(`seen.length === 3 && seen[2][0] === %d && seen[2][1] === 50`, id)
	b.client.closeRaffle(t, id)
	// After the final event and the end of the stream, 204 stops the EventSource.
	tab.Await(`seen.length === 4 && source.readyState === EventSource.CLOSED`)
	tab.Await(`!window.broken`)
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
	tab := browser.Start(t, "en-US")
	b.openPage(tab, ids[0])
	tab.Await(`document.querySelector("#who").textContent.includes("sign in")`)
	tab.Await(`document.querySelector("#who").checkVisibility() && document.querySelector("#member-id") === null`)
	tab.Await(`document.querySelector("#enter-button").disabled`)

	tab.Do(chromedp.Navigate(fmt.Sprintf("%s/raffle/%d", b.web, ids[1])))
	tab.Await(`document.querySelector("#error-heading").textContent.includes("for members")`)

	// The token goes into the cookie. With it the page sees the raffle and loads itself again,
	// at any moment, so that nothing which a script keeps in the page can be awaited here.
	tab.Evaluate(fmt.Sprintf(`void fetch("/api/v1/session", {method: "POST", headers: {Authorization: "Bearer %s"}})`,
		key.Token("7", "member")))
	// The odds appear by themselves, by an EventSource that sends the cookie.
	tab.Await(`document.querySelector("#connection")?.dataset.connection === "live"`)
	tab.Await(`document.cookie === ""`) // scripts can't read it

	b.openPage(tab, ids[0])
	tab.Await(`document.querySelector("#who").textContent.includes("7")`)
	tab.Click("#enter-button")
	tab.Await(`document.querySelector("#enter-message").textContent.includes("7")`)
	tab.Await(`document.querySelector("#raffle").dataset.entries === "1" && document.querySelector("#raffle").dataset.own === "1"`)
}
