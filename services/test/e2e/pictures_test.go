package e2e_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// picture says how a picture of the page is taken.
type picture struct {
	name          string
	width, height int64
	scheme        string // light or dark
}

// TestPage_Pictures takes the pictures of the page. make pictures runs it, with
// SCREENSHOTS set to their directory.
func TestPage_Pictures(t *testing.T) {
	t.Parallel()
	dir := os.Getenv("SCREENSHOTS")
	if dir == "" {
		t.Skip("SCREENSHOTS is not set: make pictures takes the pictures")
	}
	b := setup(t)
	id := b.client.create(t, "Signed guitar", 3)
	b.awaitRaffle(t, id)
	tab := startBrowser(t)
	b.openPage(t, tab, id, "Signed guitar")
	pace := time.NewTicker(250 * time.Millisecond) // so that the chart has something to show
	defer pace.Stop()
	for i := range 40 {
		<-pace.C
		b.client.enter(t, id, fmt.Sprint("member-", i))
	}
	do(t, tab, chromedp.Focus("#member-id"), chromedp.KeyEvent("minji"), chromedp.KeyEvent(kb.Enter))
	awaitTrue(t, tab, `document.querySelector("#entries").textContent.trim() === "41"`)
	awaitTrue(t, tab, `document.querySelector("#enter-message").textContent.trim() !== ""`)
	for _, p := range []picture{
		{"page", 1200, 1080, "light"},
		{"page-dark", 1200, 1080, "dark"},
		{"page-phone", 390, 1180, "light"},
		{"page-phone-dark", 390, 1180, "dark"},
	} {
		p.take(t, tab, dir)
	}
}

// take writes the picture into dir.
func (p picture) take(t *testing.T, tab context.Context, dir string) {
	t.Helper()
	do(t, tab, chromedp.EmulateViewport(p.width, p.height, chromedp.EmulateScale(2)),
		chromedp.Func(func(ctx context.Context, tab *chromedp.Target) error {
			_, err := cdp.Call(ctx, tab, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
				Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: p.scheme}},
			})
			return err
		}))
	awaitTrue(
		t,
		tab,
		`document.getAnimations().every(a => a.playState === "finished" || a.effect.getComputedTiming().endTime === Infinity)`,
	)
	png, err := chromedp.Run(tab, chromedp.CaptureScreenshot())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, p.name+".png"), png, 0o644); err != nil {
		t.Fatal(err)
	}
}
