package web_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/rafflecast/rafflecast/services/test/testenv"
)

// The page's check of a draw, and own chances, agree with the vectors that services/draw
// is tested with.
func TestDraw_AgreesWithTheVectors(t *testing.T) {
	t.Parallel()
	cmd := exec.CommandContext(t.Context(), testenv.NeedProgram(t, "node"), "--experimental-default-type=module",
		"testdata/draw.mjs", absolute(t, "draw"), absolute(t, "../../draw/testdata"))
	out, err := cmd.CombinedOutput()
	if err != nil || len(out) > 0 {
		t.Errorf("%v\n%s", err, out)
	}
}

// What is served as noble.js is npm's.
func TestNoble_IsWhatItsScriptMakes(t *testing.T) {
	t.Parallel()
	testenv.NeedProgram(t, "npm")
	cmd := exec.CommandContext(t.Context(), "draw/noble.sh", absolute(t, "../../../.build/npm/noble"))
	cmd.Stderr = t.Output()
	made, err := cmd.Output()
	if err != nil {
		testenv.SkipMissing(t, "way to npm's packages: "+err.Error())
	}
	committed, err := os.ReadFile("draw/noble.js")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(made, committed) {
		t.Error("draw/noble.js differs from what make noble makes")
	}
}

func absolute(t *testing.T, path string) string {
	t.Helper()
	path, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	return path
}
