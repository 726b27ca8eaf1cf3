package e2e_test

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"
)

func TestImages_RejectUnsafeNames(t *testing.T) {
	t.Parallel()
	for _, setting := range []string{"VERSION=1.0.0+x", "VERSION=a&b|c", `VERSION=1" -X main.x=1`, "VERSION=-1", "REGISTRY=a|b", "REGISTRY=https://example.com/$x"} {
		cmd := exec.CommandContext(t.Context(), "../../../deploy/images/build.sh")
		// If it went on, it would find neither git nor ko.
		cmd.Env = append(os.Environ(), setting, "GIT_DIR=/nowhere")
		out, err := cmd.CombinedOutput()
		if exit, ok := errors.AsType[*exec.ExitError](
			err,
		); !ok || exit.ExitCode() != 2 ||
			!strings.Contains(string(out), setting+": must be") {
			t.Errorf("%s: %v, %s", setting, err, out)
		}
	}
}
