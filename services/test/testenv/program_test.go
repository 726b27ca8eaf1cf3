package testenv

import "testing"

func TestNeedProgram_SkipsAtHomeAndFailsInCI(t *testing.T) { //nolint:paralleltest // Setenv changes the whole process
	for ci, want := range map[string]string{
		"":     "skipped: this machine lacks nonesuch: `make test` installs it where it can",
		"true": "failed: CI must have nonesuch: `make test` installs it where it can",
	} {
		t.Setenv("CI", ci)
		if how := run(t, func(t *stopped) { NeedProgram(t, "nonesuch") }); how != want {
			t.Errorf("CI=%s: got %q, want %q", ci, how, want)
		}
	}
}
