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

// openTab opens another tab of the browser.
func openTab(t *testing.T, browser context.Context, url string) context.Context {
	t.Helper()
	tab, cancel := chromedp.NewContext(browser)
	t.Cleanup(cancel)
	if err := chromedp.Do(tab); err != nil { // the context of the first call bounds the tab's life
		t.Fatal(err)
	}
	do(t, tab, chromedp.Navigate(url))
	return tab
}

// follow follows raffles in a tab, by the client that the gateway serves.
func follow(t *testing.T, tab context.Context, options string) {
	t.Helper()
	evaluate(t, tab, fmt.Sprintf(`
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
func awaitVersion(t *testing.T, tab context.Context, id, version int64) {
	t.Helper()
	awaitTrue(t, tab, `seen.at(-1) === "%d:%d"`, id, version)
}

// tabsBundle is a browser with tabs that all follow one raffle.
type tabsBundle struct {
	*testBundle
	front   *front
	raffle  int64
	version int64
	browser context.Context
	tabs    []context.Context
}

// setupTabs opens tabs one after the other, so that the first leads. Each follows the
// raffle with more options.
func setupTabs(t *testing.T, n int, options string) *tabsBundle {
	t.Helper()
	b := &tabsBundle{testBundle: setup(t), version: 1}
	b.front = newFront(t, b.web)
	b.raffle = b.client.create(t, "Signed guitar", 1)
	b.awaitRaffle(t, b.raffle)
	b.browser = startBrowser(t)
	for range n {
		tab := openTab(t, b.browser, b.front.url+"/blank")
		follow(t, tab, fmt.Sprintf("ids: [%d], %s", b.raffle, options))
		awaitTrue(t, tab, isLive)
		b.tabs = append(b.tabs, tab)
	}
	return b
}

// enter enters somebody, and waits until tabs show it.
func (b *tabsBundle) enter(t *testing.T, tabs ...context.Context) {
	t.Helper()
	b.version++
	b.client.enter(t, b.raffle, fmt.Sprint("member-", b.version))
	for _, tab := range tabs {
		awaitVersion(t, tab, b.raffle, b.version)
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
	evaluate(t, last, fmt.Sprintf(`fetch("/api/v1/raffles/%d/entries", {
		method: "POST", headers: { "Content-Type": "application/json" },
		body: JSON.stringify({ memberId: "minji", requestId: crypto.randomUUID() }),
	}).then(({ status }) => window.entered = status); 0`, b.raffle))
	awaitTrue(t, last, `window.entered === 200`)
	b.version++
	for _, tab := range b.tabs {
		awaitVersion(t, tab, b.raffle, b.version)
	}

	// A tab that follows another raffle as well gets both, and so do two watches of one tab.
	other := b.client.create(t, "Signed drum", 1)
	b.awaitRaffle(t, other)
	evaluate(t, last, fmt.Sprintf(`watch.setIds([%d, %d])`, b.raffle, other))
	awaitVersion(t, last, other, 1)
	b.enter(t, b.tabs...)
	b.client.enter(t, other, "minji")
	awaitVersion(t, last, other, 2)
	b.awaitStreams(t, 1)
	for _, tab := range b.tabs {
		awaitTrue(t, tab, `new Set(seen).size === seen.length && `+isLive)
	}

	// Watches with a token of their own, or that want no sharing, have their own streams.
	follow(t, b.tabs[1], fmt.Sprintf(`ids: %d, headers: { Authorization: "Bearer x" }`, b.raffle))
	awaitTrue(t, b.tabs[1], isLive)
	follow(t, b.tabs[2], fmt.Sprintf(`ids: %d, share: false`, b.raffle))
	awaitTrue(t, b.tabs[2], isLive)
	b.awaitStreams(t, 3)
}

func TestTabs_OutliveTheirLeader(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(t *testing.T, leader context.Context){
		"closed": func(t *testing.T, leader context.Context) {
			if err := chromedp.Cancel(leader); err != nil {
				t.Fatal(err)
			}
		},
		"crashed": func(t *testing.T, leader context.Context) {
			ctx, cancel := context.WithTimeout(leader, time.Second)
			defer cancel()
			_, _ = chromedp.Call(ctx, page.Crash, cdp.Empty{}) // which nobody can answer
		},
		"gone to another page": func(t *testing.T, leader context.Context) {
			do(t, leader, chromedp.Navigate("about:blank"))
		},
		"frozen": func(t *testing.T, leader context.Context) {
			setLifecycle(t, leader, page.SetWebLifecycleStateStateFrozen)
		},
		"hung": func(_ *testing.T, leader context.Context) {
			ctx, cancel := context.WithTimeout(leader, time.Second)
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
				awaitTrue(t, tab, `new Set(seen).size === seen.length && `+isLive)
			}
		})
	}
}

func setLifecycle(t *testing.T, tab context.Context, state page.SetWebLifecycleStateState) {
	t.Helper()
	if _, err := chromedp.Call(tab, page.SetWebLifecycleState, page.SetWebLifecycleStateParams{State: state}); err != nil {
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
	awaitVersion(t, b.tabs[0], b.raffle, b.version)
	b.enter(t, b.tabs...)
	b.awaitStreams(t, 1)

	evaluate(t, b.tabs[1], `window.addEventListener("pageshow", ({ persisted }) => window.persisted = persisted)`)
	do(t, b.tabs[1], chromedp.Navigate(b.front.url+"/blank?another"))
	b.enter(t, b.tabs[0])
	do(t, b.tabs[1], chromedp.NavigateBack())
	awaitTrue(t, b.tabs[1], `window.persisted === true`)
	awaitVersion(t, b.tabs[1], b.raffle, b.version)
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
	evaluate(t, b.tabs[0], fmt.Sprintf(setHidden, true))
	b.awaitStreams(t, 0)
	b.enter(t)
	evaluate(t, b.tabs[0], fmt.Sprintf(setHidden, false))
	awaitVersion(t, b.tabs[0], b.raffle, b.version)
	awaitTrue(t, b.tabs[0], isLive)
}

func TestTabs_ReturnWithTheNetworkAndTheGateway(t *testing.T) {
	t.Parallel()
	b := setupTabs(t, 1, "")
	tab := b.tabs[0]
	setOffline := func(offline bool) {
		t.Helper()
		do(t, tab, chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
			params := map[string]any{"offline": offline, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
			return target.Call(ctx, "Network.emulateNetworkConditions", params, nil)
		}))
	}
	setOffline(true)
	awaitTrue(t, tab, `states.at(-1) === "offline"`)
	b.enter(t)
	setOffline(false)
	awaitVersion(t, tab, b.raffle, b.version)
	awaitTrue(t, tab, isLive)

	b.front.refuses.Store(true)
	if _, err := b.gateway.stop(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	awaitTrue(t, tab, `states.at(-1) === "offline"`)
}

// Wherever the clock of a viewer stands, the client knows the server's.
func TestClient_KnowsTheServersTime(t *testing.T) {
	t.Parallel()
	b := setupTabs(t, 1, "")
	for _, skew := range []time.Duration{26 * time.Hour, -10 * time.Minute} {
		tab := openTab(t, b.browser, b.front.url+"/blank")
		evaluate(t, tab, fmt.Sprintf(`const real = Date.now; Date.now = () => real() + %d;`, skew.Milliseconds()))
		follow(t, tab, fmt.Sprintf("ids: [%d], share: false", b.raffle))
		awaitTrue(t, tab, isLive)
		awaitTrue(t, tab, `Math.abs(watch.now() - real()) < 3000`)
	}
}
