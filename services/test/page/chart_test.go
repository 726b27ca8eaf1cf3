package page

import (
	"context"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	cdppage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
)

// readChart is a function of the page that returns what is drawn: the lines, of points with
// their entries as the labels of the axis name them, and what is wrong with how it is drawn.
const readChart = `window.readChart = () => {
	const svg = document.querySelector("#chart"), box = svg.getBoundingClientRect();
	const labels = [...svg.querySelectorAll("text")].map((text) => ({ text: text.textContent, y: Number(text.getAttribute("y")), box: text.getBoundingClientRect() }));
	const ticks = labels.filter(({ text }) => /^[0-9,]+$/.test(text)).map(({ text, y }) => ({ entries: Number(text.replaceAll(",", "")), y: y - 4 }));
	const [low, high] = [ticks[0], ticks.at(-1)];
	const entriesAt = (y) => Math.round((y - low.y) / (high.y - low.y) * high.entries);
	const lines = [];
	let [x, y] = [0, 0];
	for (const [, command, a, b] of svg.querySelector(".line").getAttribute("d").matchAll(/([A-Z])([0-9.]+)(?: ([0-9.]+))?/g)) {
		if (command === "M") lines.push([]);
		[x, y] = { M: [Number(a), Number(b)], H: [Number(a), y], V: [x, Number(a)] }[command];
		lines.at(-1).push({ x, entries: entriesAt(y) });
	}
	const points = lines.flat(), last = points.at(-1), tip = svg.querySelector(".tip");
	const isIn = ({ left, right, top, bottom }) => left >= box.left - 1 && right <= box.right + 1 && top >= box.top - 1 && bottom <= box.bottom + 1;
	const overlap = (a, b) => a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
	const wrong = [
		svg.getAttribute("viewBox") !== "0 0 " + box.width + " " + box.height && "it is scaled",
		!labels.every((label) => isIn(label.box)) && "a label lies outside",
		labels.some((a, i) => labels.slice(i + 1).some((b) => overlap(a.box, b.box))) && "labels overlap",
		points.some((point, i) => i > 0 && point.x < points[i - 1].x) && "it goes back in time",
		points.some(({ x }) => x < 0 || x > box.width) && "a line leaves it",
		(Number(tip.getAttribute("cx")) !== last.x || entriesAt(Number(tip.getAttribute("cy"))) !== last.entries) && "the tip is not at the end",
		Math.abs(last.x - (box.width - 16)) > 1 && "it does not end at now",
	].filter(Boolean);
	document.documentElement.dataset.chart = JSON.stringify({ lines, wrong, labels: labels.map(({ text }) => text) }); // for who looks why it failed
	return { lines, last, wrong: wrong.join(), width: box.width };
}`

// cutNetwork gives the page a network that setOffline cuts, streams that are open included.
const cutNetwork = `{
	const { fetch } = window;
	let cut = new AbortController();
	window.fetch = (url, options) => fetch(url, { ...options, signal: AbortSignal.any([cut.signal, options?.signal].filter(Boolean)) });
	window.setOffline = (isOffline) => {
		if (isOffline) cut.abort(new TypeError("the network is cut"));
		else cut = new AbortController();
		dispatchEvent(new Event(isOffline ? "offline" : "online"));
	};
}`

// The chart ends at the newest odds, and leaves open what was not received, on every screen.
func TestChart_LeavesGapsOpen(t *testing.T) {
	t.Parallel()
	b, o, tab := one(t, func(o *rafflev1.Odds) { o.Entries, o.Members, o.At = 1, 1, in(-9*time.Second) })
	defer func() {
		if t.Failed() {
			t.Log(tab.Text(`document.documentElement.dataset.chart`))
		}
	}()
	for i, entries := range []int64{5, 9} {
		b.change(o, func(o *rafflev1.Odds) {
			o.Entries, o.Members, o.At = entries, entries, in(time.Duration(3*i-6)*time.Second)
		})
	}
	tab.Do(chromedp.EmulateViewport(1280, 900), chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := cdp.Call(ctx, target, cdppage.AddScriptToEvaluateOnNewDocument, cdppage.AddScriptToEvaluateOnNewDocumentParams{Source: cutNetwork})
		return err
	}))
	b.open(tab, 1)
	tab.Evaluate(readChart)
	tab.Await(`(() => { const { lines, last, wrong } = readChart(); return lines.length === 1 && last.entries === 9 && wrong === ""; })()`)
	b.change(o, func(o *rafflev1.Odds) { o.Entries, o.Members = 12, 12 })
	tab.Await(`(() => { const { lines, last } = readChart(); return lines.length === 1 && last.entries === 12; })()`)

	tab.Evaluate(`setOffline(true)`)
	tab.Await(`document.querySelector("#connection").dataset.connection === "offline"`)
	b.change(o, func(o *rafflev1.Odds) { o.Entries, o.Members = 20, 20 })
	tab.Evaluate(`setTimeout(() => window.waited = true, 2000)`) // a gap that can be seen
	tab.Await(`window.waited && readChart().last.entries === 12`)
	tab.Evaluate(`setOffline(false)`)
	tab.Await(`document.querySelector("#raffle").dataset.entries === "20"`)
	tab.Await(live)

	// A connection that is lost without a change leaves a gap, too.
	tab.Evaluate(`setOffline(true)`)
	tab.Await(`document.querySelector("#connection").dataset.connection === "offline"`)
	tab.Evaluate(`setOffline(false)`)
	tab.Await(live)
	b.change(o, func(o *rafflev1.Odds) { o.Entries, o.Members = 23, 23 })
	for _, width := range []int64{320, 1280, 2560} {
		tab.Do(chromedp.EmulateViewport(width, 900))
		tab.Await(`(() => {
			const { lines, last, wrong, width } = readChart();
			const [before, after, later] = lines;
			return wrong === "" && width <= %d && lines.length === 3 && last.entries === 23 && before.at(-1).entries === 12 &&
				after[0].x - before.at(-1).x > 0.05 * width && after.every(({ entries }) => entries === 20) &&
				later[0].x > after.at(-1).x && later[0].entries === 20;
		})()`, width)
	}
}
