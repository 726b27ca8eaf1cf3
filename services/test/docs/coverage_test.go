package docs

import (
	"maps"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/rafflecast/rafflecast/services/test/testenv"
)

// elsewhere are documents with code that is not run here: the test that runs it, or, in
// words, why nothing can. A test that is named must exist.
var elsewhere = map[string]string{
	"README.ko.md":                         "TestReadme_HasTheSameCodeInKorean",
	"docs/organisers.md":                   "TestDocument_CommandsRunInTheirOrder",
	"services/draw/README.md":              "TestReadme_CommandsWork",
	"services/test/faults/README.md":       "make faults takes an hour; the package's own test runs two minutes of it",
	"services/test/contract/callers.md":    "part of the contract's folder: the package's tests compile it with protoc, Node.js and Java",
	"deploy/README.md":                     "needs a cluster; the tests of deploy check the names and settings in it, and try.sh runs there",
	"services/gateway/BENCHMARKS.md":       "its commands measure for minutes; tests of package bench run the programs",
	"services/participation/BENCHMARKS.md": "its commands measure for minutes; tests of package bench run the programs",
	"services/test/bench/BENCHMARKS.md":    "its commands measure for minutes; a test of package bench runs the program",
	"CONTRIBUTING.md":                      "calls tests, which can't run inside of a test",
}

// Every document that users find in the repository has its code run, or says why not.
func TestDocuments_AreAllRead(t *testing.T) {
	t.Parallel()
	git := testenv.NeedProgram(t, "git")
	out, err := exec.CommandContext(t.Context(), git, "-C", root, "ls-files", "--cached", "--others", "--exclude-standard", "*.md").Output()
	if err != nil {
		t.Fatal(err)
	}
	listed := append(slices.Collect(maps.Keys(elsewhere)), read...)
	for path := range strings.Lines(string(out)) {
		path = strings.TrimSpace(path)
		text, err := readDocument(path)
		if err != nil {
			t.Fatal(err)
		}
		if len(blocks(text)) > 0 && !slices.Contains(listed, path) {
			t.Errorf("%s has code, and is neither in read nor in elsewhere", path)
		}
		if filepath.Base(path) == "README.md" && !slices.Contains(listed, path) {
			t.Errorf("%s is neither in read nor in elsewhere", path)
		}
		listed = slices.DeleteFunc(listed, func(l string) bool { return l == path })
	}
	if len(listed) > 0 {
		t.Errorf("there are no %q", listed)
	}
	for path, reason := range elsewhere {
		test := regexp.MustCompile(`^Test\w+$`).FindString(reason)
		if test == "" {
			continue
		}
		if out, err := exec.CommandContext(t.Context(), git, "-C", root, "grep", "-l", "--untracked", "func "+test+"(", "--", "*_test.go").CombinedOutput(); err != nil {
			t.Errorf("%s: there is no %s: %v\n%s", path, test, err, out)
		}
	}
}

// A command that is no longer in a document must not be excused.
func TestDocuments_HaveTheCommandsThatDoNotRun(t *testing.T) {
	t.Parallel()
	var all []string
	for _, path := range read {
		text, err := readDocument(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range blocks(text) {
			for _, c := range b.commands() {
				if b.language == "" {
					all = append(all, c.text)
				}
			}
		}
	}
	for pattern := range notRun {
		if !slices.ContainsFunc(all, regexp.MustCompile(pattern).MatchString) {
			t.Errorf("no document has a command like %s", pattern)
		}
	}
}
