package docs

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// documents are checked in full. One that does not exist is skipped.
var documents = []string{
	"README.md", "README.ko.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md", "docs/api.md", "docs/access.md", "docs/operation.md", "docs/organisers.md",
	"clients/go/README.md", "examples/spring/README.md",
}

// allowed are problems that are none, with the reason. Keep it tiny.
var allowed = map[string]string{
	"reserved: it occurs in no source": "a keyword of protobuf, for a field that is removed",
}

func readDocument(path string) (string, error) {
	text, err := os.ReadFile(filepath.Join(root, path))
	return string(text), err
}

func TestDocuments_NameOnlyWhatExists(t *testing.T) {
	t.Parallel()
	r := setup(t)
	for _, path := range documents {
		text, err := readDocument(path)
		if os.IsNotExist(err) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, problem := range r.problems(path, prose(text)) {
			if _, ok := allowed[problem]; !ok {
				t.Errorf("%s: %s", path, problem)
			}
		}
	}
}

func TestChecker_FindsWrongNames(t *testing.T) {
	t.Parallel()
	r := setup(t)
	for text, want := range map[string]string{
		"`make nonexistent`":                       "there is no such target",
		"    make test nonexistent":                "there is no such target",
		"`--nonexistent`":                          "no program has this flag",
		"`gateway nonexistent`":                    "there is no such command",
		"`rafflecast help nonexistent`":            "there is no such command",
		"    .build/gateway serve --nonexistent=1": "there is no such flag",
		"    .build/gateway serve --queue=1":       "there is no such flag",
		"    --nonexistent=1 and so on":            "no program has this flag",
		"`make run ARGS=\"--nonexistent=1\"`":      "no program has this flag",
		"    $ .build/rafflecast nonexistent":      "there is no such command",
		"    export NONEXISTENT_URL=x":             "there is no such variable",
		"`services/nonexistent`":                   "there is no such path",
		"`testing/nonexistent`":                    "there is no such path",
		"`nonexistent.go`":                         "there is no file with this name",
		"`outbox.Nonexistent`":                     "no package outbox declares it",
		"`nonexistent.Relay`":                      "there is no package nonexistent",
		"`batch.Writer.Nonexistent`":               "no package batch declares it",
		"`t.Nonexistent`":                          "there is no such method",
		"`google.rpc.Nonexistent`":                 "there is no such message or service",
		"`GET /api/v1/nonexistent`":                "no source has such a path",
		"`NONEXISTENT_REASON`":                     "it occurs in no source",
		"`TestNonexistent_Does`":                   "it occurs in no source",
		"[x](NONEXISTENT.md)":                      "there is no NONEXISTENT.md",
		"[x](README.md#nonexistent)":               "there is no such heading",
		"# A\n\n[x](#b)":                           "there is no such heading",
	} {
		if got := r.problems("README.md", text); len(got) != 1 || !strings.Contains(got[0], want) {
			t.Errorf("%s: got %q, want %q", text, got, want)
		}
	}
}

func TestChecker_AcceptsWhatExists(t *testing.T) {
	t.Parallel()
	r := setup(t)
	for _, text := range []string{
		"`make test`, `make run ARGS=…`, `--queue`, `--participation-queue=1`, `gateway serve`, `rafflecast doctor URL`",
		"`services/test`, `.build/contract`, `testing/synctest`, `go.work`, `.data`",
		"`batch.Writer`, `batch.Writer.Run`, `testenv.Eventually`, `t.Fatal`, `google.rpc.Status`, `raffle.v1.RaffleService`",
		"`GET /api/v1/raffles`, `DATABASE_URL`, `?wait=25s`, `rafflecast_…`, `TestChild_AnswersUntilItIsStopped`, `go doc x`",
		"    make build && .build/gateway serve --participation-url=http://127.0.0.1:9080 # a comment",
		"    docker compose --nonexistent up && .build/gateway --help",
		"    export DATABASE_URL=postgres://x NATS_URL=nats://y",
		"# A heading, so\n\n[x](#a-heading-so) [y](https://example.com/) [z](services/test)",
	} {
		if got := r.problems("README.md", text); len(got) > 0 {
			t.Errorf("%s: %q", text, got)
		}
	}
}

// The code of the Korean README is that of the English one, which is tried.
func TestReadme_HasTheSameCodeInKorean(t *testing.T) {
	t.Parallel()
	english, err := readDocument("README.md")
	if err != nil {
		t.Fatal(err)
	}
	korean, err := readDocument("README.ko.md")
	if err != nil {
		t.Fatal(err)
	}
	if a, b := blocks(english), blocks(korean); !slices.Equal(a, b) {
		t.Errorf("%q\nis not\n%q", a, b)
	}
}
