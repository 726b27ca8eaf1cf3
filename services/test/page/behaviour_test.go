package page

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	cdppage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
	"github.com/rafflecast/rafflecast/services/test/browser"
)

// one starts a gateway with raffle 1, and a browser.
func one(t *testing.T, changes ...func(*rafflev1.Odds)) (*bench, *rafflev1.Odds, *browser.Tab) {
	t.Helper()
	b := setup(t, withEntering)
	o := raffle(1, changes...)
	b.publish(o)
	b.await(1)
	return b, o, browser.Start(t, "en-US")
}

func TestPage_IsReadableWithoutJavaScript(t *testing.T) {
	t.Parallel()
	b, _, tab := one(t)
	tab.Do(chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := cdp.Call(ctx, target, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
		return err
	}))
	tab.Open(b.url(1))
	text := tab.Text(`document.body.innerText`)
	for _, want := range []string{"Signed guitar", "1 in 14", "40 people hold 42 entries; 3 win; closes ", "UTC.", "switch JavaScript on"} {
		if !strings.Contains(text, want) {
			t.Errorf("the page lacks %q:\n%s", want, text)
		}
	}
	for _, wrong := range []string{"Live", "Pause", "Withdraw"} {
		if strings.Contains(text, wrong) {
			t.Errorf("the page says %q:\n%s", wrong, text)
		}
	}
}

func TestPage_ShowsThatItsNumbersAreOld(t *testing.T) {
	t.Parallel()
	b, _, tab := one(t)
	b.grow(raffle(2))
	b.await(2)
	b.open(tab, 2)
	tab.Await(`getComputedStyle(document.querySelector("#figure")).opacity === "1" && !document.querySelector("#as-of").checkVisibility()`)
	b.gateway.Stop()
	tab.Await(`document.querySelector("#connection").dataset.connection === "offline"`)
	tab.Await(`document.querySelector("#connection-text").textContent.startsWith("Offline, as of ")`)
	tab.Await(`getComputedStyle(document.querySelector("#figure")).opacity === "0.5" && document.querySelector("#as-of").checkVisibility()`)
	takePicture(tab, "offline", 1200, 860)
}

func TestPage_CanBePaused(t *testing.T) {
	t.Parallel()
	b, o, tab := one(t)
	b.open(tab, 1)
	tab.Click("#pause")
	tab.Await(`document.querySelector("#connection-text").textContent.startsWith("Paused") && document.querySelector("#pause").ariaPressed === "true"`)
	tab.Await(`document.getAnimations().length === 0`)
	tab.Evaluate(`window.seen = 0; new EventSource("/api/v1/raffles/1/subscribe").addEventListener("raffle-winning-probability", (e) => seen = JSON.parse(e.data).entries)`)
	b.change(o, func(o *rafflev1.Odds) { o.Entries, o.Members = 60, 60 })
	tab.Await(`window.seen === 60`)
	tab.Await(`document.querySelector("#raffle").dataset.entries === "42"`)
	tab.Click("#pause")
	tab.Await(`document.querySelector("#raffle").dataset.entries === "60" && %s === "1 in 20"`, figure)
}

// A busy raffle must not speak all the time. What changes its state is said, once.
func TestPage_SaysWhatMattersOnce(t *testing.T) {
	t.Parallel()
	b, o, tab := one(t)
	b.open(tab, 1)
	tab.Evaluate(`window.said = []; new MutationObserver(() => said.push(document.querySelector("#announcer").textContent))
		.observe(document.querySelector("#announcer"), {childList: true, characterData: true, subtree: true})`)
	for i := range int64(5) {
		b.change(o, func(o *rafflev1.Odds) { o.Entries, o.Members = 50+i, 50+i })
		tab.Await(`document.querySelector("#raffle").dataset.entries === "%d"`, 50+i)
	}
	b.change(o, func(o *rafflev1.Odds) { o.State = rafflev1.Raffle_CANCELLED })
	tab.Await(`document.querySelector("#raffle").dataset.state === "CANCELLED"`)
	tab.Await(`said.length === 1 && said[0] === "Cancelled.  Cancelled."`)
}

// A visitor's clock may be wrong by hours.
func TestPage_GoesByTheServersClock(t *testing.T) {
	t.Parallel()
	b, _, tab := one(t)
	tab.Do(chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := cdp.Call(ctx, target, cdppage.AddScriptToEvaluateOnNewDocument, cdppage.AddScriptToEvaluateOnNewDocumentParams{
			Source: `const real = Date.now; Date.now = () => real() + 26 * 3600 * 1000`,
		})
		return err
	}))
	b.open(tab, 1)
	tab.Await(`Date.now() - new Date().getTime() > 25 * 3600 * 1000`)
	tab.Await(`document.querySelector("#countdown-rest").textContent === "1 day 1 hr"`)
	tab.Evaluate(`window.ticked = false; setTimeout(() => window.ticked = true, 1500)`)
	tab.Await(`window.ticked && document.querySelector("#countdown-rest").textContent === "1 day 1 hr"`)
}

// What an organiser writes stays in its place: on three lines, in its own direction.
func TestPage_KeepsTitlesInTheirPlace(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("Signed guitar ", 14)
	zalgo := "\u202elive " + strings.Repeat("e"+strings.Repeat("\u0301\u0302\u0303", 12), 5)
	for _, title := range []string{long, zalgo} {
		b, _, tab := one(t, func(o *rafflev1.Odds) { o.Title = title })
		b.open(tab, 1)
		tab.Do(chromedp.EmulateViewport(390, 900))
		tab.Await(`(() => {
			const [title, state, label] = ["#title", "#state", "#label"].map((id) => document.querySelector(id).getBoundingClientRect());
			const style = getComputedStyle(document.querySelector("#title"));
			return style.overflow === "hidden" && title.height < 130 && title.top >= state.bottom && title.bottom <= label.top &&
				getComputedStyle(document.querySelector("#title bdi")).unicodeBidi === "isolate";
		})()`)
	}
}

// Ten tabs of one browser have one stream, so that the tenth is live over HTTP/1.1 too.
func TestPage_IsLiveInTheTenthTab(t *testing.T) {
	t.Parallel()
	b, o, tab := one(t)
	tabs := []*browser.Tab{tab}
	for len(tabs) < 10 {
		tabs = append(tabs, tab.Another())
	}
	for _, tab := range tabs {
		b.open(tab, 1)
	}
	b.change(o, func(o *rafflev1.Odds) { o.Entries, o.Members = 60, 60 })
	for _, tab := range tabs {
		tab.Await(`document.querySelector("#raffle").dataset.entries === "60"`)
	}
}

func TestPage_FitsEveryScreen(t *testing.T) {
	t.Parallel()
	b := setup(t, withEntering)
	b.publish(raffle(1, func(o *rafflev1.Odds) {
		o.Entries, o.Members, o.Title = 98_765_432, 98_765_432, strings.Repeat("Donaudampfschifffahrt", 9)
	}))
	b.publish(raffle(2, drawn(8, 21, 40)))
	b.await(1)
	b.await(2)
	tab := browser.Start(t, "en-US")
	b.keep(tab, 2, 3)
	for _, path := range []string{"/raffle/1", "/raffle/2", "/raffle/1?stage", "/?show=open", "/raffle/77"} {
		tab.Open(b.web + path)
		for _, width := range []int64{320, 390, 600, 861, 1280, 2560} {
			tab.Do(chromedp.EmulateViewport(width, 900))
			tab.Await(`document.documentElement.scrollWidth <= %d && document.documentElement.clientWidth >= %d`, width, min(width, 300))
		}
	}
}

func TestPage_IsPrintedOnPaper(t *testing.T) {
	t.Parallel()
	b, _, tab := one(t)
	b.keep(tab, 1, 2)
	b.open(tab, 1)
	tab.Await(`document.querySelector("#raffle").dataset.own === "2"`)
	tab.Media("print")
	tab.Await(`!document.querySelector("#enter-form").checkVisibility() && !document.querySelector(".controls").checkVisibility() &&
		document.querySelector("#receipt").checkVisibility() && getComputedStyle(document.querySelector(".face")).backgroundImage === "none"`)
	takePicture(tab, "print", 794, 900)
	tab.Media("", "prefers-reduced-motion", "reduce", "forced-colors", "active")
	tab.Await(`document.getAnimations().length === 0`)
	takePicture(tab, "forced-colors", 1200, 860)
}

// Bad addresses are pages, and people can go on from there.
func TestPage_TellsThatThereIsNothing(t *testing.T) {
	t.Parallel()
	b, _, tab := one(t)
	axe := readAxe(t)
	for path, heading := range map[string]string{
		"/raffle/77": "There is no such raffle", "/raffle/x": "This is no raffle's number", "/nothing": "There is nothing at this address",
	} {
		tab.Open(b.web + path)
		tab.Await(`document.querySelector("#error-heading").textContent === %q`, heading)
		if wrong := axe.run(tab); wrong != "" {
			t.Errorf("%s: %s", path, wrong)
		}
	}
	tab.Open(b.web + "/raffle/77")
	takePicture(tab, "missing", 1200, 860)
	// It appears if it comes into being.
	o := raffle(77)
	b.publish(o)
	tab.Await(`document.querySelector("#raffle")?.dataset.id === "77"`)
}

// A raffle is closed and drawn before its visitors' eyes. Without its log, the check says so.
func TestPage_FollowsTheDraw(t *testing.T) {
	t.Parallel()
	b, o, tab := one(t)
	b.keep(tab, 1, 1)
	b.open(tab, 1)
	b.change(o, func(o *rafflev1.Odds) { o.State, o.DrawsAt = rafflev1.Raffle_CLOSED, in(time.Minute) })
	tab.Await(`document.querySelector("#label").textContent === "Drawing at" && document.querySelector("#countdown-label").textContent === "The draw is in"`)
	tab.Await(live)
	b.change(o, drawn(7, 8, 9))
	tab.Await(`%s === "You won!" && document.querySelector("#winning .mine").dataset.ticket === "7"`, figure)
	tab.Await(`document.querySelector("#connection").dataset.connection === "ended" && !document.querySelector("#connection").checkVisibility()`)
	tab.Click("#check-button")
	tab.Await(`document.querySelector("#check-result").textContent.startsWith("The log of the raffle can't be read")`)
}

func TestStage_FillsTheScreen(t *testing.T) {
	t.Parallel()
	b, o, tab := one(t)
	axe := readAxe(t)
	tab.Do(chromedp.EmulateViewport(1920, 1080))
	tab.Open(b.url(1) + "?stage")
	tab.Await(live)
	tab.Await(`(() => {
		const [ticket, code] = [".ticket", ".qr"].map((name) => document.querySelector(name).getBoundingClientRect());
		return ticket.width > 1800 && ticket.height > 850 && code.width > 300 && document.documentElement.scrollHeight <= 1080;
	})()`)
	if wrong := axe.run(tab); wrong != "" {
		t.Error(wrong)
	}
	takePicture(tab, "stage", 1920, 1080)
	b.change(o, func(o *rafflev1.Odds) { o.Entries, o.Members = 90, 90 })
	tab.Await(`%s === "1 in 30"`, figure)
}

func TestList_IsLive(t *testing.T) {
	t.Parallel()
	b := setup(t, withEntering)
	axe := readAxe(t)
	titles := []string{"Signed guitar", "Trainers, size 42", strings.Repeat("A very long title ", 11), "Weekend in Busan", "콘서트 티켓 2장", "Coffee machine"}
	var all []*rafflev1.Odds
	for i, title := range titles {
		o := raffle(int64(i+1), func(o *rafflev1.Odds) {
			o.Title, o.ClosesAt = title, in(time.Duration(len(titles)-i)*7*time.Hour)
			o.Entries, o.Members = int64(i*i*37), int64(i*i*37)
		})
		all = append(all, o)
		b.publish(o)
		b.await(o.GetId())
	}
	b.publish(raffle(20, states[0].change))
	b.publish(raffle(21, drawn(1, 2)))
	b.await(21)
	tab := browser.Start(t, "en-US")
	b.keep(tab, 2, 2)
	tab.Open(b.web)
	tab.Await(live)
	ids := `[...document.querySelectorAll("#cards > li")].map((card) => card.dataset.id).join()`
	tab.Await(`%s === "6,5,4,3,2,1"`, ids) // by closing time
	tab.Await(`[...document.querySelectorAll(".name")].every((name) => name.getBoundingClientRect().height < 70)`)
	tab.Await(`document.querySelector("[data-id='2'] .label").textContent === "Your chance with 2 entries"`)
	if wrong := axe.run(tab); wrong != "" {
		t.Error(wrong)
	}
	takePicture(tab, "list", 1200, 860)
	takePicture(tab, "list-phone", 390, 1000)

	// The odds come by the stream. A raffle that closes leaves the tab.
	b.change(all[0], func(o *rafflev1.Odds) { o.Entries, o.Members = 300, 300 })
	tab.Await(`document.querySelector("[data-id='1'] .figure").firstElementChild.textContent === "1 in 100"`)
	b.change(all[0], func(o *rafflev1.Odds) { o.State = rafflev1.Raffle_CANCELLED })
	tab.Await(`%s === "6,5,4,3,2"`, ids)

	for show, want := range map[string]string{"soon": "20", "ended": "1,21"} {
		tab.Click(fmt.Sprintf(`.tabs a[href="/?show=%s"]`, show))
		tab.Await(`document.querySelector("#list").dataset.show === %q && %s === %q`, show, ids, want)
	}
}
