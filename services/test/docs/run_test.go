package docs

import (
	"fmt"
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
var read = []string{
	"README.md", "docs/api.md", "docs/access.md", "docs/operation.md", "clients/go/README.md", "services/gateway/web/client/README.md",
	"examples/embed/README.md", "examples/node/README.md", "examples/spring/README.md",
}

// notRun are commands that do not run here, with the reason. Keep it tiny. Each must stand
// in a document.
var notRun = map[string]string{
	`^docker compose `:      "needs Docker; what it starts is replaced by the test's PostgreSQL and NATS",
	`^make build\b`:         "built before",
	`^go get `:              "it is for another module than this workspace's",
	`\bmvn spring-boot:run`: "needs Spring Boot, which only Maven's registry has",
	`localhost:8080/`:       "needs the application that Spring Boot runs",
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
			if strings.Contains(text, "npm install") {
				testenv.NeedProgram(t, "npm")
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
		s.tryInBrowser(b.text)
	case b.language == "html" && strings.Contains(b.text, "<script") && !strings.Contains(b.text, "<!-- … -->"):
		s.tryPage(b.text)
	case strings.Contains(b.text, `from "@rafflecast/watch"`):
		s.tryPackage(t, b.text)
	case !slices.ContainsFunc(tested(t), func(source string) bool { return hasParts(source, trimmed(b.text)) }):
		t.Errorf("no test runs this %s:\n%s", b.language, b.text)
	}
}

// try runs a command, and checks its exit code and the HTTP statuses of its answers.
func (s *shell) try(c command) {
	s.t.Helper()
	text := s.ports.Replace(shorter.Replace(c.text))
	text = regexp.MustCompile(`^make build && `).ReplaceAllString(text, "")
	if isNotRun(text) {
		return
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
	if strings.HasPrefix(text, "python3 -m http.server ") {
		testenv.NeedProgram(s.t, "python3")
		s.background(text, "Serving HTTP on")
		s.awaitOdds("http://" + s.shop)
		return
	}
	if folder, ok := strings.CutPrefix(text, "make contract"); ok { // without what other tests write meanwhile
		text = fmt.Sprintf(`make -C %s BUILD="$PWD/.build" contract%s`, s.top, strings.Replace(folder, "CONTRACT=", `CONTRACT="$PWD"/`, 1))
	}
	output, code := s.run(text)
	if code != "0" && strings.HasPrefix(text, "npm install") {
		testenv.SkipMissing(s.t, "way to npm's packages: "+output)
	}
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

func isNotRun(command string) bool {
	for pattern := range notRun {
		if regexp.MustCompile(pattern).MatchString(command) {
			return true
		}
	}
	return false
}

// tryProgram runs a program in Go until it prints something.
func (s *shell) tryProgram(t *testing.T, text string) {
	t.Helper()
	file := filepath.Join(s.dir, "main.go")
	if err := os.WriteFile(file, []byte(s.ports.Replace(text)), 0o600); err != nil {
		t.Fatal(err)
	}
	s.background("(cd "+s.top+" && go run "+file+")", "Signed guitar OPEN 1")
}

// tryPackage runs a script in Node.js that imports the client for browsers, until it prints
// the odds of raffle 1.
func (s *shell) tryPackage(t *testing.T, text string) {
	t.Helper()
	testenv.NeedProgram(t, "node")
	packages := filepath.Join(s.dir, "node_modules", "@rafflecast")
	if err := os.MkdirAll(packages, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(s.top, "services/gateway/web/client"), filepath.Join(packages, "watch")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(s.dir, "watch.mjs"), []byte(s.ports.Replace(text)), 0o600); err != nil {
		t.Fatal(err)
	}
	s.background("node --preserve-symlinks watch.mjs", "1 1 null")
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
