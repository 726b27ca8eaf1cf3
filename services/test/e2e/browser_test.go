package e2e_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"github.com/rafflecast/rafflecast/services/test/testenv"
)

// browser starts a headless Chromium that ends with the test, and returns a
// context for its one tab. Without Chromium the test is skipped, in CI it fails.
func browser(t *testing.T) context.Context {
	t.Helper()
	path := testenv.NeedProgram(t, "chromium")
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path),
		chromedp.UserDataDir(t.TempDir()),
		chromedp.NoSandbox, // root has none
		chromedp.DisableGPU,
		chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-component-update", true),
		chromedp.Flag("lang", "en-US"),
	)
	allocator, cancel := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(cancel)
	tab, cancel := chromedp.NewContext(allocator, chromedp.WithErrorf(t.Logf))
	t.Cleanup(func() { _ = chromedp.Cancel(tab); cancel() })
	if err := chromedp.Do(tab); err != nil { // the first call starts it, and bounds its life
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

// until waits for a JavaScript expression to be true.
func until(t *testing.T, tab context.Context, expression string, args ...any) {
	t.Helper()
	expression = fmt.Sprintf(expression, args...)
	if _, err := chromedp.Run(tab, chromedp.Poll[bool](expression, chromedp.WithPollingTimeout(20*time.Second))); err != nil {
		text, _ := chromedp.Run(tab, chromedp.Evaluate[string](`document.body.innerText`))
		t.Fatalf("never true: %s: %v; the page says:\n%s", expression, err, text)
	}
}

// look is how a screenshot's reader sees the page.
type look struct {
	name          string
	width, height int64
	scheme        string // light or dark
}

// shoot writes a picture of the page into $SCREENSHOTS, where that is set.
func shoot(t *testing.T, tab context.Context, l look) {
	t.Helper()
	dir := os.Getenv("SCREENSHOTS")
	if dir == "" {
		return
	}
	do(t, tab, chromedp.EmulateViewport(l.width, l.height, chromedp.EmulateScale(2)),
		chromedp.Func(func(ctx context.Context, tab *chromedp.Target) error {
			_, err := cdp.Call(ctx, tab, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
				Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: l.scheme}},
			})
			return err
		}),
		chromedp.Sleep(700*time.Millisecond)) // transitions end; no test depends on it
	picture, err := chromedp.Run(tab, chromedp.CaptureScreenshot())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, l.name+".png"), picture, 0o644); err != nil {
		t.Fatal(err)
	}
}

// paceForPicture spreads entries over time where pictures are taken, so that
// their chart has something to show.
func paceForPicture() {
	if os.Getenv("SCREENSHOTS") != "" {
		time.Sleep(time.Duration(100+rand.IntN(400)) * time.Millisecond)
	}
}
