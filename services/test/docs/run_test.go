package docs

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rafflecast/rafflecast/services/test/testenv"
)

// read are the documents whose code runs, each by itself, as a reader types it.
var read = []string{"README.md", "docs/api.md", "docs/access.md", "docs/operation.md", "clients/go/README.md", "examples/spring/README.md"}

// notRun are commands that do not run here, with the reason. Keep it tiny.
var notRun = map[string]string{
	`^docker compose `:         "needs Docker; what it starts is replaced by the test's PostgreSQL and NATS",
	`^make (build|contract)\b`: "built before; the tests of package contract run make contract",
	`^go get `:                 "it is for another module than this workspace's",
	`localhost:8080/`:          "needs Spring Boot, which the machine does not have",
}

// shorter are parts of commands that would take long, and what takes their place.
var shorter = strings.NewReplacer("--duration=30s", "--duration=1s", "--concurrency=1000", "--concurrency=20")

// sources are what tests run: fragments of programs in documents must be part of it. A line
// with an ellipsis says that something is left out.
var sources = []string{"clients/go/*_test.go", "services/test/contract/testdata/*", "examples/spring/src/main/java/com/example/shop/*.java", "examples/node/*.js", "examples/embed/*.html"}

func TestDocuments_CommandsWork(t *testing.T) {
	t.Parallel()
	testenv.NeedProgram(t, "curl")
	programs := t.TempDir()
	if err := os.Chmod(programs, 0o755); err != nil {
		t.Fatal(err)
	}
	var packages []string
	for _, name := range []string{"participation", "gateway", "rafflecast"} {
		packages = append(packages, "github.com/rafflecast/rafflecast/services/"+name+"/cmd/"+name)
	}
	if out, err := exec.CommandContext(t.Context(), "go", append([]string{"build", "-o", programs}, packages...)...).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, path := range read {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			text, err := readDocument(path)
			if err != nil {
				t.Fatal(err)
			}
			s := newShell(t, programs)
			if !slices.ContainsFunc(blocks(text), func(b block) bool { return strings.Contains(b.text, " serve ") }) {
				s.try(command{text: "make run"}) // again, if the document says so
			}
			for _, b := range blocks(text) {
				s.tryBlock(t, b)
			}
		})
	}
}

// tryBlock runs a block, or finds it in what tests run.
func (s *shell) tryBlock(t *testing.T, b block) {
	t.Helper()
	switch {
	case b.language == "":
		for _, c := range b.commands() {
			s.try(c)
		}
	case b.language == "text": // what a program prints, or a drawing
	case strings.Contains(b.text, "package main"):
		s.tryProgram(t, b.text)
	case strings.Contains(b.text, "EventSource"):
		s.tryInBrowser(t, b.text)
	case !slices.ContainsFunc(tested(t), func(source string) bool { return hasParts(source, trimmed(b.text)) }):
		t.Errorf("no test runs this %s:\n%s", b.language, b.text)
	}
}

// try runs a command, and checks its exit code and the HTTP statuses of its answers.
func (s *shell) try(c command) {
	s.t.Helper()
	text := s.ports.Replace(shorter.Replace(c.text))
	text = regexp.MustCompile(`^make build && `).ReplaceAllString(text, "")
	for pattern := range notRun {
		if regexp.MustCompile(pattern).MatchString(text) {
			return
		}
	}
	if m := regexp.MustCompile(`^(.*)\bmake run(?: ARGS="(.*)")?$`).FindStringSubmatch(text); m != nil {
		s.run(`[ -z "$run" ] || { kill $run; wait $run; }`)
		s.background(m[1]+".build/rafflecast run "+m[2], "Rafflecast is running")
		s.run("run=$pid")
		return
	}
	if server, ok := strings.CutSuffix(text, " &"); ok {
		s.background(server, "is serving")
		return
	}
	if strings.HasPrefix(text, "curl -N ") {
		s.background(text, "data: ")
		return
	}
	output, code := s.run(text)
	if strings.Contains(text, " verify ") { // the reader waits for the draw
		testenv.Eventually(s.t, text+" succeeds", time.Minute, func() bool {
			output, code = s.run(text)
			return code == "0"
		})
	}
	if strings.HasPrefix(text, "export ") {
		s.run(s.own)
	}
	if code != "0" {
		s.t.Errorf("%s: exit code %s\n%s", text, code, output)
	}
	for _, m := range regexp.MustCompile(`(?m)^HTTP (\d+)$`).FindAllStringSubmatch(output, -1) {
		if m[1] != c.status {
			s.t.Errorf("%s: status %s, not %s\n%s", text, m[1], c.status, output)
		}
	}
}

// tryProgram runs a program in Go until it prints something.
func (s *shell) tryProgram(t *testing.T, text string) {
	t.Helper()
	top, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(s.dir, "main.go")
	if err := os.WriteFile(file, []byte(s.ports.Replace(text)), 0o600); err != nil {
		t.Fatal(err)
	}
	s.background("(cd "+top+" && go run "+file+")", "Signed guitar OPEN 1")
}

// tested returns the text of what tests run.
func tested(t *testing.T) (texts []string) {
	t.Helper()
	for _, pattern := range sources {
		files, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %v, %v", pattern, files, err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			texts = append(texts, trimmed(string(text)))
		}
	}
	return texts
}

// hasParts reports whether the parts of a fragment stand in a source, in the same order.
func hasParts(source, fragment string) bool {
	for _, part := range regexp.MustCompile(`(?m)^(?://|<!--) …(?: -->)?$`).Split(fragment, -1) {
		_, after, found := strings.Cut(source, strings.TrimSpace(part))
		if !found {
			return false
		}
		source = after
	}
	return true
}

// trimmed returns a text without the indentation of its lines.
func trimmed(text string) string {
	var lines []string
	for line := range strings.Lines(text) {
		lines = append(lines, strings.TrimSpace(line))
	}
	return strings.Join(lines, "\n")
}
