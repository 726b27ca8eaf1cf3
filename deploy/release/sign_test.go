package release_test

import (
	"os/exec"
	"strings"
	"testing"
)

func TestSign_SaysThatAReleaseIsNotSigned(t *testing.T) {
	t.Parallel()
	cmd := exec.CommandContext(t.Context(), "./sign.sh")
	cmd.Env = append(cmd.Environ(), "DIST="+t.TempDir(), "COSIGN_KEY=", "PATH=/usr/bin:/bin")
	out, err := cmd.CombinedOutput()
	if want := "this release is not signed, because COSIGN_KEY names no key\n"; err != nil || string(out) != want {
		t.Errorf("sign.sh ended with %v and\n%s\nwant\n%s", err, out, want)
	}
	if strings.Count(string(out), "\n") != 1 {
		t.Errorf("it said more than one line:\n%s", out)
	}
}
