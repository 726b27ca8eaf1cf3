package web_test

import (
	"os/exec"
	"testing"

	"github.com/rafflecast/rafflecast/services/test/testenv"
)

// The browser's client follows raffles through whatever a server or a proxy does.
func TestClient_FollowsRaffles(t *testing.T) {
	t.Parallel()
	cmd := exec.CommandContext(t.Context(), testenv.NeedProgram(t, "node"), "--test", "testdata/client.test.mjs")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
