package observability

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const readme = root + "/deploy/README.md"

// runbook returns the section of each alert in the README, by the alert's name.
func runbook(t *testing.T) map[string]string {
	t.Helper()
	_, text, _ := strings.Cut(read(t, readme), "\n## Alerts\n")
	text, _, _ = strings.Cut(text, "\n## ")
	sections := make(map[string]string)
	for _, section := range strings.Split(text, "\n### ")[1:] {
		name, body, _ := strings.Cut(section, "\n")
		sections[name] = strings.TrimSpace(body)
	}
	return sections
}

func TestRunbook_HasASectionForEachAlert(t *testing.T) {
	t.Parallel()
	sections := runbook(t)
	for _, a := range alerts(t) {
		text := sections[a.Alert]
		delete(sections, a.Alert)
		if !strings.HasPrefix(strings.ToLower(text), a.Labels["severity"]+". ") || len(text) < 200 {
			t.Errorf("%s: %q", a.Alert, text)
		}
	}
	for name := range sections {
		t.Errorf("there is no alert %s", name)
	}
}

func TestRunbook_ExplainsEachReasonAndCause(t *testing.T) {
	t.Parallel()
	sections := runbook(t)
	matcher := regexp.MustCompile(`(?:reason|cause)=~?"([^"]+)"`)
	explained := 0
	for _, a := range alerts(t) {
		for _, match := range matcher.FindAllStringSubmatch(a.Expr, -1) {
			values := strings.Split(match[1], "|")
			for _, value := range values {
				explained++
				if len(values) > 1 && !strings.Contains(sections[a.Alert], "`"+value+"`") {
					t.Errorf("%s does not explain %s", a.Alert, value)
				}
			}
		}
	}
	if explained == 0 {
		t.Error("no alert selects a reason or a cause")
	}
}

func TestRunbook_NamesExistingPanelsAndAlerts(t *testing.T) {
	t.Parallel()
	var names []string
	for _, a := range alerts(t) {
		names = append(names, a.Alert)
	}
	code := regexp.MustCompile("`[^`]*`")
	italic := regexp.MustCompile(`\*([^*]+)\*`)
	panels := panelQueries(t)
	named := 0
	for alert, text := range runbook(t) {
		text = strings.Join(strings.Fields(text), " ")
		for _, match := range italic.FindAllStringSubmatch(code.ReplaceAllString(text, ""), -1) {
			named++
			if panels[match[1]] == nil {
				t.Errorf("%s: there is no panel %q", alert, match[1])
			}
		}
		for _, other := range regexp.MustCompile(`Rafflecast\w+`).FindAllString(text, -1) {
			if !slices.Contains(names, other) {
				t.Errorf("%s: there is no alert %s", alert, other)
			}
		}
		for _, anchor := range regexp.MustCompile(`\(#(rafflecast\w+)\)`).FindAllStringSubmatch(text, -1) {
			if !slices.ContainsFunc(names, func(name string) bool { return strings.ToLower(name) == anchor[1] }) {
				t.Errorf("%s: there is no section %s", alert, anchor[1])
			}
		}
	}
	if named == 0 {
		t.Error("no panel is named")
	}
}

// TestRunbook_QuotesExistingLogMessages checks each "msg":"…" in the README: a string in
// the sources of the services must begin with it.
func TestRunbook_QuotesExistingLogMessages(t *testing.T) {
	t.Parallel()
	literals := stringLiterals(t)
	text := strings.Join(strings.Fields(read(t, readme)), " ")
	quotes := regexp.MustCompile(`"msg":"(.+?)(?:["`+"`"+`]|' )`).FindAllStringSubmatch(text, -1)
	for _, quote := range quotes {
		if !slices.ContainsFunc(literals, func(s string) bool { return strings.HasPrefix(s, quote[1]) }) {
			t.Errorf("no service logs %q", quote[1])
		}
	}
	if len(quotes) < 5 {
		t.Errorf("the README quotes only %d log messages: has the way it quotes them changed?", len(quotes))
	}
}

// stringLiterals returns the string literals in the sources of the services, without tests.
func stringLiterals(t *testing.T) (literals []string) {
	t.Helper()
	err := filepath.WalkDir(root+"/services", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(node ast.Node) bool {
			if literal, ok := node.(*ast.BasicLit); ok && literal.Kind == token.STRING {
				if s, err := strconv.Unquote(literal.Value); err == nil {
					literals = append(literals, s)
				}
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return literals
}
