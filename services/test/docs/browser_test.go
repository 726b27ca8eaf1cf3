package docs

import (
	"context"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/rafflecast/rafflecast/services/test/testenv"
)

// tryInBrowser runs a script in a page of the gateway without scripts, until it has set the title by
// what it has received.
func (s *shell) tryInBrowser(t *testing.T, script string) {
	t.Helper()
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(testenv.NeedProgram(t, "chromium")), chromedp.UserDataDir(t.TempDir()), chromedp.NoSandbox)
	allocator, cancel := chromedp.NewExecAllocator(t.Context(), options...)
	defer cancel()
	tab, cancel := chromedp.NewContext(allocator)
	defer cancel()
	defer func() { _ = chromedp.Cancel(tab) }() // waits for Chromium, which writes to its directory
	if err := chromedp.Do(tab); err != nil {    // the first call starts the browser
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(tab, time.Minute)
	defer cancel()
	err := chromedp.Do(ctx, chromedp.Navigate("http://"+s.ports.Replace("localhost:9998")+"/api/v1/raffles/1/odds"))
	if err == nil {
		_, err = chromedp.Run(ctx, chromedp.Evaluate[any]("{"+script+"}"))
	}
	if err == nil {
		_, err = chromedp.Run(ctx, chromedp.Poll[bool](`/%$|no entry/.test(document.title)`))
	}
	if err != nil {
		t.Errorf("the script does not work in a browser: %v\n%s", err, script)
	}
}
