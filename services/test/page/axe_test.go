package page

import (
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/rafflecast/rafflecast/services/gateway"
	"github.com/rafflecast/rafflecast/services/test/browser"
	"github.com/rafflecast/rafflecast/services/test/testenv"
)

// axeVersion is that of axe-core, from npm.
const axeVersion = "4.14.1"

// axe is the script of axe-core, which finds what keeps people with disabilities from using
// a page.
type axe string

var downloading sync.Mutex

// readAxe returns axe-core, which is downloaded once.
func readAxe(t *testing.T) axe {
	t.Helper()
	downloading.Lock()
	defer downloading.Unlock()
	dir, err := filepath.Abs("../../../.build/npm/axe-" + axeVersion)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "node_modules/axe-core/axe.min.js")
	if _, err := os.Stat(path); err != nil {
		npm := testenv.NeedProgram(t, "npm")
		cmd := exec.CommandContext(t.Context(), npm, "install", "--prefix", dir, "--no-save", "--ignore-scripts", "axe-core@"+axeVersion)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Logf("%s", out)
			testenv.SkipMissing(t, "way to npm's axe-core: "+err.Error())
		}
	}
	script, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return axe(script)
}

// run returns what axe finds wrong with the page of a tab, empty if nothing.
func (a axe) run(tab *browser.Tab) (wrong string) {
	tab.Evaluate(string(a) + `; window.found = undefined; void axe.run().then((r) => window.found = r.violations.flatMap(({id, nodes}) =>
		nodes.map(({html, failureSummary}) => id + ": " + html.slice(0, 200) + " " + failureSummary)).join("\n"), (e) => window.found = String(e))`)
	tab.Await(`window.found !== undefined`)
	return tab.Text(`window.found`)
}

// withEntering makes the page offer entering. No participation answers at this address.
func withEntering(cfg *gateway.Config) { cfg.ParticipationURL = "http://127.0.0.1:1" }
