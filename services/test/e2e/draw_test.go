package e2e_test

import (
	"fmt"
	"net/http"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
	"github.com/rafflecast/rafflecast/services/test/browser"
)

// A member enters on the page, the raffle is closed and draws by itself, the page tells
// whether the ticket has won, and both the page and a stranger's verifier find it right.
func TestPage_ShowsTheDraw(t *testing.T) {
	t.Parallel()
	p := launchRafflecast(t, dataDir(t))
	web := p.awaitLog(`the page +(http://\S+)/$`)[1]
	c := dial(t, p.awaitLog(`(\S+) raffle\.v1\.ParticipationService/Enter`)[1])
	tab := browser.Start(t, "en-US")
	b := &testBundle{web: web}
	b.openPage(tab, 1)
	tab.Do(chromedp.Focus("#member-id"), chromedp.KeyEvent("minji"), chromedp.KeyEvent(kb.Enter))
	tab.Await(`document.querySelector("[data-fact=receiptTicket] dd")?.textContent === "1"`)
	figureIs(tab, "^100%$")
	c.enter(t, 1, "other")
	figureIs(tab, "^50%$")
	c.closeRaffle(t, 1)
	// The stream stays open, and the time until the draw is shown.
	tab.Await(`document.querySelector("#state").dataset.state === "CLOSED" && document.querySelector("#countdown-label").textContent === "The draw is in"`)
	tab.Await(`document.querySelector("#connection").dataset.connection === "live"`)
	tab.Await(`document.querySelector("#state").dataset.state === "DRAWN" && document.querySelectorAll("#winning li").length === 1`)
	tab.Await(`document.querySelector("#connection").dataset.connection === "ended"`)
	winners, err := c.raffles.ListWinners(t.Context(), &rafflev1.ListWinnersRequest{RaffleId: 1})
	if err != nil || len(winners.GetWinners()) != 2 {
		t.Fatal(winners, err)
	}
	won := winners.GetWinners()[0].GetTicket()
	tab.Await(`document.querySelector("#winning li").dataset.ticket === "%d"`, won)
	figureIs(tab, map[bool]string{true: "^You won!$", false: "^Not this time$"}[won == 1])
	tab.Click("#check-button")
	tab.Await(`document.querySelector("#check-result").dataset.outcome === "true"`)
	verify(t, web+"/raffle/1")
}

// verify runs the verifier for a raffle's page, which must find its draw right, and
// with another key must not.
func verify(t *testing.T, url string) {
	t.Helper()
	dir, err := binaries()
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(filepath.Join(dir, "rafflecast"), "verify", url).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	const another = "localhost+00000001+AQ/QyFeTAdTp6R37WdQJekZj4UhdO9gLMCnjZlPSnc/9"
	if out, err := exec.Command(filepath.Join(dir, "rafflecast"), "verify", "--key", another, url).CombinedOutput(); err == nil {
		t.Errorf("another key is taken for the signer's:\n%s", out)
	}
}

// What checks a draw is served by the gateway, too, and cached only if it never changes.
func TestDraw_IsServedToEverybody(t *testing.T) {
	t.Parallel()
	p := launchRafflecast(t, dataDir(t))
	web := p.awaitLog(`the page +(http://\S+)/$`)[1]
	for path, want := range map[string]struct {
		status             int
		contentType, cache string
	}{
		"log":        {200, "application/octet-stream", "no-cache"},
		"log?from=1": {400, "application/json; charset=utf-8", "no-store"},
		"checkpoint": {400, "application/json; charset=utf-8", "no-store"}, // the raffle is open
		"draw":       {200, "application/json", "no-store"},
		"winners":    {200, "application/json", "no-store"},
		"tickets/0":  {200, "application/json", "no-store"},
		"tickets/9":  {404, "application/json; charset=utf-8", "no-store"},
	} {
		resp, err := http.Get(fmt.Sprintf("%s/api/v1/raffles/1/%s", web, path))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		h := resp.Header
		if resp.StatusCode != want.status || h.Get("Content-Type") != want.contentType || h.Get("Cache-Control") != want.cache {
			t.Errorf("%s: %s %s, %s", path, resp.Status, h.Get("Content-Type"), h.Get("Cache-Control"))
		}
	}
}
