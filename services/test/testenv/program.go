package testenv

import (
	"os"
	"os/exec"
	"testing"
)

// NeedProgram returns the path of an installed program. If the machine lacks it,
// NeedProgram ends the test as SkipMissing does.
func NeedProgram(t testing.TB, program string) string {
	t.Helper()
	for _, dir := range []string{"", "/usr/sbin/"} { // PATH often lacks the directory of daemons
		if found, err := exec.LookPath(dir + program); err == nil {
			return found
		}
	}
	SkipMissing(t, program+": `make test` installs it where it can")
	return ""
}

// SkipMissing skips the test because the machine lacks something that the test
// needs. In CI, which must have everything, it fails the test instead.
func SkipMissing(t testing.TB, what string) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatalf("CI must have %s", what)
	}
	t.Skipf("this machine lacks %s", what)
}
