package docs

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"

	"github.com/rafflecast/rafflecast/services/test/browser"
)

// tryInBrowser runs a script in a page of the gateway without scripts, until it has set the title by
// what it has received.
func (s *shell) tryInBrowser(script string) {
	s.t.Helper()
	tab := browser.Start(s.t, "en-US")
	tab.Open("http://" + s.ports.Replace("localhost:9998") + "/api/v1/raffles/1/odds")
	tab.Evaluate("{" + script + "}")
	tab.Await(`/%%$|no entry/.test(document.title)`)
}

// tryPage shows a part of a page of another origin, until it shows odds.
func (s *shell) tryPage(part string) {
	s.t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(s.t.Context(), "tcp", s.shop)
	if err != nil {
		s.t.Fatal(err)
	}
	page := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprint(w, "<!doctype html><html lang=en><title>Shop</title><body>", s.ports.Replace(part))
	})
	shop := &httptest.Server{Listener: listener, Config: &http.Server{Handler: page}}
	shop.Start()
	defer shop.Close()
	s.awaitOdds(shop.URL)
}

// awaitOdds opens a page, and waits until its title or its elements show odds.
func (s *shell) awaitOdds(address string) {
	s.t.Helper()
	tab := browser.Start(s.t, "en-US")
	tab.Open(address)
	tab.Await(`(() => {
		const elements = [...document.querySelectorAll("rafflecast-odds")];
		const shows = (element) => element.shadowRoot?.querySelector("[part~=chance]")?.textContent;
		return elements.length > 0 ? elements.every(shows) : document.documentElement.dataset.odds === "live" && document.title.includes("if you enter now");
	})()`)
}
