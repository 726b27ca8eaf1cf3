package e2e_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"

	"github.com/rafflecast/rafflecast/services/test/browser"
	"github.com/rafflecast/rafflecast/services/test/testenv"
)

// front is a proxy before a gateway, over HTTP/1.1. It counts the streams, and serves an
// empty page at /blank.
type front struct {
	url     string
	open    atomic.Int64 // streams
	opened  atomic.Int64
	refuses atomic.Bool // answers everything with 503
}

func newFront(t *testing.T, gateway string) *front {
	t.Helper()
	target, err := url.Parse(gateway)
	if err != nil {
		t.Fatal(err)
	}
	f := &front{}
	proxy := httputil.NewSingleHostReverseProxy(target)
	proxy.ErrorHandler = func(http.ResponseWriter, *http.Request, error) {} // of clients that have left
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/blank":
			w.Header().Set("Content-Type", "text/html")
			fmt.Fprint(w, "<!doctype html><title>Blank</title>")
			return
		case f.refuses.Load():
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		case strings.HasSuffix(r.URL.Path, "/subscribe"):
			f.opened.Add(1)
			f.open.Add(1)
			defer f.open.Add(-1)
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(func() { server.CloseClientConnections(); server.Close() })
	f.url = server.URL
	return f
}

// follow follows raffles in a tab, by the client that the gateway serves.
func follow(tab *browser.Tab, options string) {
	tab.Evaluate(fmt.Sprintf(`
		window.seen = [];
		window.states = [];
		import("/client/rafflecast.js").then(({ watchOdds }) => {
			window.watch = watchOdds({
				onOdds: ({ id, version }) => seen.push(id + ":" + version),
				onState: ({ state }) => states.push(state),
				%s
			});
		}); 0`, options))
}

const isLive = `window.states?.at(-1) === "live"`

// awaitVersion waits until a tab has been told of a raffle's version.
func awaitVersion(tab *browser.Tab, id, version int64) {
	tab.Await(`seen.at(-1) === "%d:%d"`, id, version)
}

// tabsBundle is a browser with tabs that all follow one raffle.
type tabsBundle struct {
	*testBundle
	front   *front
	raffle  int64
	version int64
	browser *browser.Tab
	tabs    []*browser.Tab
}

// setupTabs opens tabs one after the other, so that the first leads. Each follows the
// raffle with more options.
func setupTabs(t *testing.T, n int, options string) *tabsBundle {
	t.Helper()
	b := &tabsBundle{testBundle: setup(t), version: 1}
	b.front = newFront(t, b.web)
	b.raffle = b.client.create(t, "Signed guitar", 1)
	b.awaitRaffle(t, b.raffle)
	b.browser = browser.Start(t, "en-US")
	for range n {
		tab := b.browser.Another()
		tab.Open(b.front.url + "/blank")
		follow(tab, fmt.Sprintf("ids: [%d], %s", b.raffle, options))
		tab.Await(isLive)
		b.tabs = append(b.tabs, tab)
	}
	return b
}

// enter enters somebody, and waits until tabs show it.
func (b *tabsBundle) enter(t *testing.T, tabs ...*browser.Tab) {
	t.Helper()
	b.version++
	b.client.enter(t, b.raffle, fmt.Sprint("member-", b.version))
	for _, tab := range tabs {
		awaitVersion(tab, b.raffle, b.version)
	}
}

// awaitStreams waits until a number of streams is open.
func (b *tabsBundle) awaitStreams(t *testing.T, n int64) {
	t.Helper()
	testenv.Eventually(t, fmt.Sprint(n, " streams are open"), 20*time.Second, func() bool { return b.front.open.Load() == n })
}

// HTTP/1.1 allows a browser six connections to a host. Ten tabs need one of them.
func TestTabs_ShareOneStream(t *testing.T) {
	t.Parallel()
	b := setupTabs(t, 10, "")
	if n := b.front.opened.Load(); n != 1 {
		t.Errorf("%d streams for ten tabs", n)
	}
	b.enter(t, b.tabs...)

	// Entering works in the tenth.
	last := b.tabs[9]
	last.Evaluate(fmt.Sprintf(`fetch("/api/v1/raffles/%d/entries", {
		method: "POST", headers: { "Content-Type": "application/json" },
		body: JSON.stringify({ memberId: "minji", requestId: crypto.randomUUID() }),
	}).then(({ status }) => window.entered = status); 0`, b.raffle))
	last.Await(`window.entered === 200`)
	b.version++
	for _, tab := range b.tabs {
		awaitVersion(tab, b.raffle, b.version)
	}

	// A tab that follows another raffle as well gets both, and so do two watches of one tab.
	other := b.client.create(t, "Signed drum", 1)
	b.awaitRaffle(t, other)
	last.Evaluate(fmt.Sprintf(`watch.setIds([%d, %d])`, b.raffle, other))
	awaitVersion(last, other, 1)
	b.enter(t, b.tabs...)
	b.client.enter(t, other, "minji")
	awaitVersion(last, other, 2)
	b.awaitStreams(t, 1)
	for _, tab := range b.tabs {
		tab.Await(`new Set(seen).size === seen.length && ` + isLive)
	}

	// Watches with a token of their own, or that want no sharing, have their own streams.
	follow(b.tabs[1], fmt.Sprintf(`ids: %d, headers: { Authorization: "Bearer x" }`, b.raffle))
	b.tabs[1].Await(isLive)
	follow(b.tabs[2], fmt.Sprintf(`ids: %d, share: false`, b.raffle))
	b.tabs[2].Await(isLive)
	b.awaitStreams(t, 3)
}

func TestTabs_OutliveTheirLeader(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(t *testing.T, leader *browser.Tab){
		"closed": func(t *testing.T, leader *browser.Tab) {
			t.Helper()
			if err := chromedp.Cancel(leader.Context()); err != nil {
				t.Fatal(err)
			}
		},
		"crashed": func(_ *testing.T, leader *browser.Tab) {
			ctx, cancel := context.WithTimeout(leader.Context(), time.Second)
			defer cancel()
			_, _ = chromedp.Call(ctx, page.Crash, cdp.Empty{}) // which nobody can answer
		},
		"gone to another page": func(_ *testing.T, leader *browser.Tab) {
			leader.Open("about:blank")
		},
		"frozen": func(t *testing.T, leader *browser.Tab) {
			t.Helper()
			setLifecycle(t, leader, page.SetWebLifecycleStateStateFrozen)
		},
		"hung": func(_ *testing.T, leader *browser.Tab) {
			ctx, cancel := context.WithTimeout(leader.Context(), time.Second)
			defer cancel()
			_, _ = chromedp.Run(ctx, chromedp.Evaluate[any](`for (;;);`))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setupTabs(t, 3, "")
			end(t, b.tabs[0])
			b.enter(t, b.tabs[1:]...)
			for _, tab := range b.tabs[1:] {
				tab.Await(`new Set(seen).size === seen.length && ` + isLive)
			}
		})
	}
}

func setLifecycle(t *testing.T, tab *browser.Tab, state page.SetWebLifecycleStateState) {
	t.Helper()
	if _, err := chromedp.Call(tab.Context(), page.SetWebLifecycleState, page.SetWebLifecycleStateParams{State: state}); err != nil {
		t.Fatal(err)
	}
}

// A tab that was frozen follows again, and so does one that comes back from the cache of
// pages that were left.
func TestTabs_CatchUp(t *testing.T) {
	t.Parallel()
	b := setupTabs(t, 2, "")
	setLifecycle(t, b.tabs[0], page.SetWebLifecycleStateStateFrozen)
	b.enter(t, b.tabs[1])
	setLifecycle(t, b.tabs[0], page.SetWebLifecycleStateStateActive)
	awaitVersion(b.tabs[0], b.raffle, b.version)
	b.enter(t, b.tabs...)
	b.awaitStreams(t, 1)

	b.tabs[1].Evaluate(`window.addEventListener("pageshow", ({ persisted }) => window.persisted = persisted)`)
	b.tabs[1].Open(b.front.url + "/blank?another")
	b.enter(t, b.tabs[0])
	b.tabs[1].Evaluate(`history.back()`) // chromedp's own waits for a page to load
	b.tabs[1].Await(`window.persisted === true`)
	awaitVersion(b.tabs[1], b.raffle, b.version)
	b.enter(t, b.tabs...)
	b.awaitStreams(t, 1)
}

// A hidden tab lets go of the stream, and shows what it has missed when it is seen again.
func TestTabs_HiddenOnesLetGo(t *testing.T) {
	t.Parallel()
	b := setupTabs(t, 1, "timing: { hidden: 50 }")
	const setHidden = `
		Object.defineProperty(document, "hidden", { value: %t, configurable: true });
		document.dispatchEvent(new Event("visibilitychange"));`
	b.tabs[0].Evaluate(fmt.Sprintf(setHidden, true))
	b.awaitStreams(t, 0)
	b.enter(t)
	b.tabs[0].Evaluate(fmt.Sprintf(setHidden, false))
	awaitVersion(b.tabs[0], b.raffle, b.version)
	b.tabs[0].Await(isLive)
}

func TestTabs_ReturnWithTheNetworkAndTheGateway(t *testing.T) {
	t.Parallel()
	b := setupTabs(t, 1, "")
	tab := b.tabs[0]
	setOffline := func(offline bool) {
		t.Helper()
		tab.Do(chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
			params := map[string]any{"offline": offline, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
			return target.Call(ctx, "Network.emulateNetworkConditions", params, nil)
		}))
	}
	setOffline(true)
	tab.Await(`states.at(-1) === "offline"`)
	b.enter(t)
	setOffline(false)
	awaitVersion(tab, b.raffle, b.version)
	tab.Await(isLive)

	b.front.refuses.Store(true)
	if _, err := b.gateway.stop(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	tab.Await(`states.at(-1) === "offline"`)
}

// Wherever the clock of a viewer stands, the client knows the server's.
func TestClient_KnowsTheServersTime(t *testing.T) {
	t.Parallel()
	b := setupTabs(t, 1, "")
	for _, skew := range []time.Duration{26 * time.Hour, -10 * time.Minute} {
		tab := b.browser.Another()
		tab.Open(b.front.url + "/blank")
		tab.Evaluate(fmt.Sprintf(`const real = Date.now; Date.now = () => real() + %d;`, skew.Milliseconds()))
		follow(tab, fmt.Sprintf("ids: [%d], share: false", b.raffle))
		tab.Await(isLive)
		tab.Await(`Math.abs(watch.now() - real()) < 3000`)
	}
}
