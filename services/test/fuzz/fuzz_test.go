package fuzz

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// module writes a module with a test file to a new directory below root.
func module(t *testing.T, root, name, test string) {
	t.Helper()
	dir := filepath.Join(root, name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for file, text := range map[string]string{
		"go.mod":    "module example.org/" + name + "\n\ngo 1.26.0\n",
		"x_test.go": "package x\n\nimport \"testing\"\n\n" + test,
	} {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

const (
	good = "func FuzzGood(f *testing.F) { f.Fuzz(func(t *testing.T, b []byte) {}) }\n\nfunc TestOther(t *testing.T) {}\n"
	bad  = "func FuzzBad(f *testing.F) { f.Add(7); f.Fuzz(func(t *testing.T, n int) { if n != 7 { t.Error(\"found\", \"it\") } }) }\n"
)

// run fuzzes the targets under root for a second each.
func run(t *testing.T, root, only string) (out string, err error) {
	t.Helper()
	var b strings.Builder
	err = Run(t.Context(), Config{Root: root, Time: time.Second, Only: only}, &b)
	return b.String(), err
}

func TestRun_FindsTargetsOfAllModules(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	module(t, root, "one", good)
	module(t, root, "two", strings.ReplaceAll(good, "Good", "Fine"))
	module(t, root, ".hidden", bad)
	out, err := run(t, root, "")
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, want := range []string{
		`(?m)^ +[1-9]\d* inputs  example.org/one.FuzzGood$`, `(?m)^ +[1-9]\d* inputs  example.org/two.FuzzFine$`,
		`(?m)^RESULT fuzz_targets 2$`, `(?m)^RESULT fuzz_inputs [1-9]`, `(?m)^RESULT fuzz_failed 0$`,
	} {
		if !regexp.MustCompile(want).MatchString(out) {
			t.Errorf("%s is not in\n%s", want, out)
		}
	}
}

func TestRun_FailsIfATargetFindsSomething(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	module(t, root, "one", bad+good)
	out, err := run(t, root, "")
	if err == nil || !strings.Contains(err.Error(), "example.org/one.FuzzBad") || strings.Contains(err.Error(), "FuzzGood") {
		t.Errorf("got %v", err)
	}
	for _, want := range []string{"found it", "inputs  example.org/one.FuzzGood", "RESULT fuzz_failed 1"} {
		if !strings.Contains(out, want) {
			t.Errorf("%s is not in\n%s", want, out)
		}
	}
	if out, err := run(t, root, "one.FuzzGood"); err != nil {
		t.Errorf("the good one: %v\n%s", err, out)
	}
}

func TestRun_FailsWithoutTargets(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	module(t, root, "one", good)
	if out, err := run(t, root, "FuzzNone"); err == nil {
		t.Errorf("no error\n%s", out)
	}
	module(t, root, "two", "func FuzzBroken(f *testing.F) { nonsense }\n")
	if out, err := run(t, root, ""); err == nil || !strings.Contains(err.Error(), "nonsense") {
		t.Errorf("does not compile: %v\n%s", err, out)
	}
}
