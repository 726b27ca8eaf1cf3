package programtest

import (
	"fmt"
	"testing"
)

// told is a test that notes how it was left.
type told struct {
	testing.TB
	how string
}

func (t *told) Helper() {}
func (t *told) Fatalf(format string, a ...any) {
	t.how = "failed: " + fmt.Sprintf(format, a...)
	panic(t)
}

func (t *told) Skipf(format string, a ...any) {
	t.how = "skipped: " + fmt.Sprintf(format, a...)
	panic(t)
}

func TestWhatIsMissingIsSkippedAtHomeAndFailsInCI(t *testing.T) { //nolint:paralleltest // the environment is the process's
	for ci, want := range map[string]string{
		"":     "skipped: there is no nonesuch: `make test` installs it where it can",
		"true": "failed: CI must have nonesuch: `make test` installs it where it can",
	} {
		t.Setenv("CI", ci)
		left := &told{TB: t}
		func() {
			defer func() { _ = recover() }()
			Find(left, "nonesuch")
		}()
		if left.how != want {
			t.Errorf("CI=%s: %s", ci, left.how)
		}
	}
}
