package web_test

import (
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/rafflecast/rafflecast/services/test/testenv"
)

// The page follows resets and other lives of a raffle, goes by the server's clock, and
// gives a raffle that is missing some time.
func TestPage_FollowsItsRaffle(t *testing.T) {
	t.Parallel()
	node := testenv.NeedProgram(t, "node")
	assets, err := filepath.Abs("assets")
	if err != nil {
		t.Fatal(err)
	}
	// The assets are modules without a package.json that says so.
	cmd := exec.CommandContext(t.Context(), node, "--experimental-default-type=module", "testdata/page.mjs", assets)
	out, err := cmd.CombinedOutput()
	if err != nil || len(out) > 0 {
		t.Errorf("%v\n%s", err, out)
	}
}
