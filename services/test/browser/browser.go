// Package browser drives a headless Chromium inside a test.
package browser

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"github.com/rafflecast/rafflecast/services/test/testenv"
)

// Tab is a tab of a browser.
type Tab struct {
	t   testing.TB
	ctx context.Context //nolint:containedctx // chromedp keeps the tab in it
}

// Start starts a browser that prefers a language, such as en-US. It ends with the test.
// Start returns its first tab.
func Start(t testing.TB, language string) *Tab {
	t.Helper()
	path := testenv.NeedProgram(t, "chromium")
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path),
		chromedp.UserDataDir(t.TempDir()),
		chromedp.NoSandbox, // Chromium has no sandbox for root
		chromedp.DisableGPU,
		chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-component-update", true),
		chromedp.Flag("lang", language),
		chromedp.Flag("accept-lang", language),
	)
	allocator, cancel := chromedp.NewExecAllocator(context.WithoutCancel(t.Context()), options...)
	t.Cleanup(cancel)
	ctx, cancel := chromedp.NewContext(allocator, chromedp.WithErrorf(t.Logf))
	t.Cleanup(func() { _ = chromedp.Cancel(ctx); cancel() })
	// The first call starts the browser, and its context bounds the browser's life.
	if err := chromedp.Do(ctx); err != nil {
		t.Fatal(err)
	}
	return &Tab{t, ctx}
}

// Another opens another tab of the browser.
func (tab *Tab) Another() *Tab {
	tab.t.Helper()
	ctx, cancel := chromedp.NewContext(tab.ctx)
	tab.t.Cleanup(cancel)
	if err := chromedp.Do(ctx); err != nil {
		tab.t.Fatal(err)
	}
	return &Tab{tab.t, ctx}
}

// Context returns the tab's context, for what chromedp can do with it besides.
func (tab *Tab) Context() context.Context { return tab.ctx }

// Do runs actions, for at most 30 s.
func (tab *Tab) Do(actions ...chromedp.Action[chromedp.Void]) {
	tab.t.Helper()
	ctx, cancel := context.WithTimeout(tab.ctx, 30*time.Second)
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		tab.t.Fatal(err)
	}
}

// Open opens an address.
func (tab *Tab) Open(address string) {
	tab.t.Helper()
	tab.Do(chromedp.Navigate(address))
}

// Click clicks at the middle of an element, once it is visible. chromedp.Click does not
// notice that an element has become visible whose parent was hidden when the page came.
func (tab *Tab) Click(selector string) {
	tab.t.Helper()
	tab.Await(`document.querySelector(%q)?.checkVisibility()`, selector)
	tab.Do(chromedp.QueryAfter(selector, func(ctx context.Context, target *chromedp.Target, nodes []*chromedp.Node) (chromedp.Void, error) {
		return chromedp.MouseClickNode(nodes[0])(ctx, target)
	}))
}

// Evaluate runs JavaScript in the page.
func (tab *Tab) Evaluate(script string) {
	tab.t.Helper()
	if _, err := chromedp.Run(tab.ctx, chromedp.Evaluate[any](script)); err != nil {
		tab.t.Fatal(err)
	}
}

// Text returns what a JavaScript expression says.
func (tab *Tab) Text(expression string) string {
	tab.t.Helper()
	text, err := chromedp.Run(tab.ctx, chromedp.Evaluate[string](expression))
	if err != nil {
		tab.t.Fatal(err)
	}
	return text
}

// Await waits until a JavaScript expression is true, for at most 20 s, on whatever page is
// loaded meanwhile.
func (tab *Tab) Await(expression string, args ...any) {
	tab.t.Helper()
	expression = fmt.Sprintf(expression, args...)
	err := testenv.Await(expression, 20*time.Second, func() bool {
		isTrue, err := chromedp.Run(tab.ctx, chromedp.Evaluate[bool]("Boolean("+expression+")"))
		return err == nil && isTrue
	})
	if err != nil {
		text, _ := chromedp.Run(tab.ctx, chromedp.Evaluate[string](`document.body.innerText`))
		tab.t.Fatalf("%v; the page's text:\n%s", err, text)
	}
}

// Media emulates media features, as names and values in turn, and a medium such as print,
// empty for the screen.
func (tab *Tab) Media(medium string, features ...string) {
	tab.t.Helper()
	params := emulation.SetEmulatedMediaParams{Media: medium}
	for i := 0; i+1 < len(features); i += 2 {
		params.Features = append(params.Features, &emulation.MediaFeature{Name: features[i], Value: features[i+1]})
	}
	tab.Do(chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := cdp.Call(ctx, target, emulation.SetEmulatedMedia, params)
		return err
	}))
}

// Picture writes a picture of the page at a size, with so many pixels of the picture to one
// of the page.
func (tab *Tab) Picture(path string, width, height int64, scale float64) {
	tab.t.Helper()
	tab.Do(chromedp.EmulateViewport(width, height, chromedp.EmulateScale(scale)))
	tab.Await(`document.getAnimations().every(a => a.playState === "finished" || a.effect.getComputedTiming().endTime === Infinity)`)
	data, err := chromedp.Run(tab.ctx, chromedp.CaptureScreenshot())
	if err != nil {
		tab.t.Fatal(err)
	}
	if data, err = smaller(data); err != nil {
		tab.t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		tab.t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o644); err != nil { //nolint:gosec // everybody may look
		tab.t.Fatal(err)
	}
}

// smaller returns a PNG with no more than 256 colours, the most frequent ones, which takes
// a third of the bytes.
func smaller(data []byte) ([]byte, error) {
	decoded, err := png.Decode(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	full := image.NewRGBA(decoded.Bounds())
	draw.Draw(full, full.Rect, decoded, full.Rect.Min, draw.Src)
	pixels := slices.Collect(slices.Chunk(full.Pix, 4))
	counts := map[[4]byte]int{}
	for _, pixel := range pixels {
		counts[[4]byte(pixel)]++
	}
	colours := slices.SortedFunc(maps.Keys(counts), func(a, b [4]byte) int {
		return cmp.Or(counts[b]-counts[a], bytes.Compare(a[:], b[:]))
	})
	var palette color.Palette
	for _, c := range colours[:min(len(colours), 256)] {
		palette = append(palette, color.RGBA{c[0], c[1], c[2], c[3]})
	}
	nearest := map[[4]byte]byte{}
	for _, c := range colours {
		nearest[c] = byte(palette.Index(color.RGBA{c[0], c[1], c[2], c[3]}))
	}
	small := image.NewPaletted(full.Rect, palette)
	for i, pixel := range pixels {
		small.Pix[i] = nearest[[4]byte(pixel)]
	}
	var out bytes.Buffer
	encoder := png.Encoder{CompressionLevel: png.BestCompression}
	err = encoder.Encode(&out, small)
	return out.Bytes(), err
}
