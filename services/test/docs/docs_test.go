// Package docs checks that the documents name only what exists.
package docs

import (
	"bytes"
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const root = "../../.."

var documents = []string{"README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"}

// elsewhere are names that are right and stand for nothing in this repository.
var elsewhere = map[string]bool{
	"buf.validate": true, "google.rpc.ErrorInfo": true, "google.rpc.Status": true, "t.Fatal": true, "go.work": true, "testing/synctest": true,
}

var (
	quoted     = regexp.MustCompile("`([^`\n]+)`")
	linked     = regexp.MustCompile(`\]\(([^)#:]+)(?:#[^)]*)?\)`)
	makeTarget = regexp.MustCompile(`\bmake ([a-z][a-z-]*)`)
	flagName   = regexp.MustCompile(`(?:^|[\s(])--([a-z][a-z-]+)`)
	goName     = regexp.MustCompile(`^([a-z]+)\.([A-Z]\w*)(?:\(.*)?$`)
	pathName   = regexp.MustCompile(`^[\w.-]+(?:/[\w.-]+)+/?$|^[\w-]+\.(?:go|md|yaml|proto|json|sql)$`)
)

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func exists(path string) bool {
	_, err := os.Stat(filepath.Join(root, path))
	return err == nil
}

func TestDocuments_NameExistingPaths(t *testing.T) {
	t.Parallel()
	for _, document := range documents {
		text := read(t, document)
		for _, m := range linked.FindAllStringSubmatch(text, -1) {
			if !exists(m[1]) {
				t.Errorf("%s links to %s, which does not exist", document, m[1])
			}
		}
		for _, m := range quoted.FindAllStringSubmatch(text, -1) {
			name := strings.TrimSuffix(m[1], "/")
			if elsewhere[name] || !pathName.MatchString(name) || strings.HasPrefix(name, "dist/") || strings.HasPrefix(name, ".build") {
				continue
			}
			if !exists(name) && !exists("services/"+name) && !isFileSomewhere(t, name) {
				t.Errorf("%s names `%s`, which does not exist", document, m[1])
			}
		}
	}
}

// isFileSomewhere reports whether name is the base name of a file of the project.
func isFileSomewhere(t *testing.T, name string) bool {
	t.Helper()
	if strings.Contains(name, "/") {
		return false
	}
	found := false
	for _, dir := range []string{"services", "proto", "deploy"} {
		err := filepath.WalkDir(filepath.Join(root, dir), func(path string, _ fs.DirEntry, err error) error {
			found = found || filepath.Base(path) == name
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return found
}

func TestDocuments_NameExistingMakeTargets(t *testing.T) {
	t.Parallel()
	makefile := read(t, "Makefile")
	for _, document := range documents {
		for _, span := range spans(read(t, document)) {
			for _, m := range makeTarget.FindAllStringSubmatch(span, -1) {
				if !regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(m[1]) + `:`).MatchString(makefile) {
					t.Errorf("%s names make %s, which is no target", document, m[1])
				}
			}
		}
	}
}

// spans returns what a document quotes, and its indented lines.
func spans(text string) (all []string) {
	for _, m := range quoted.FindAllStringSubmatch(text, -1) {
		all = append(all, m[1])
	}
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "    ") {
			command, _, _ := strings.Cut(line, " #")
			all = append(all, command)
		}
	}
	return all
}

func TestDocuments_NameExistingFlags(t *testing.T) {
	t.Parallel()
	known := flags(t)
	// Flags of other programs in examples.
	for _, other := range []string{"build-arg", "help"} {
		known[other] = true
	}
	for _, document := range documents {
		for _, span := range spans(read(t, document)) {
			for _, m := range flagName.FindAllStringSubmatch(span, -1) {
				if !known[m[1]] {
					t.Errorf("%s names --%s, which no program has", document, m[1])
				}
			}
		}
	}
}

// flags returns the flags of all commands of our programs, by name.
func flags(t *testing.T) map[string]bool {
	t.Helper()
	known := make(map[string]bool)
	for _, program := range []string{"participation/cmd/participation", "gateway/cmd/gateway", "rafflecast/cmd/rafflecast"} {
		cmd := exec.CommandContext(t.Context(), "go", "run", "github.com/rafflecast/rafflecast/services/"+program, "settings")
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, t.Output()
		if err := cmd.Run(); err != nil {
			t.Fatalf("%s settings: %v", program, err)
		}
		var settings any
		if err := json.Unmarshal(out.Bytes(), &settings); err != nil {
			t.Fatalf("%s settings: %v", program, err)
		}
		collect(settings, known)
	}
	if len(known) < 40 {
		t.Fatalf("only %d flags were found", len(known))
	}
	return known
}

// collect adds every value of a key "flag" or "name" in a JSON document.
func collect(value any, names map[string]bool) {
	switch v := value.(type) {
	case map[string]any:
		for key, inner := range v {
			if text, ok := inner.(string); ok && (key == "flag" || key == "name") {
				names[strings.TrimPrefix(text, "--")] = true
			}
			collect(inner, names)
		}
	case []any:
		for _, inner := range v {
			collect(inner, names)
		}
	}
}

func TestDocuments_NameExistingGoNames(t *testing.T) {
	t.Parallel()
	declared := declarations(t)
	for _, document := range documents {
		for _, m := range quoted.FindAllStringSubmatch(read(t, document), -1) {
			name := goName.FindStringSubmatch(m[1])
			if name == nil || elsewhere[m[1]] {
				continue
			}
			if !declared[name[1]+"."+name[2]] {
				t.Errorf("%s names `%s`, which is not declared", document, m[1])
			}
		}
	}
}

// declarations returns package.Name for everything that our packages declare.
func declarations(t *testing.T) map[string]bool {
	t.Helper()
	declared := make(map[string]bool)
	err := filepath.WalkDir(filepath.Join(root, "services"), func(path string, _ fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		for _, d := range file.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				declared[file.Name.Name+"."+d.Name.Name] = true
			case *ast.GenDecl:
				for _, spec := range d.Specs {
					switch spec := spec.(type) {
					case *ast.TypeSpec:
						declared[file.Name.Name+"."+spec.Name.Name] = true
					case *ast.ValueSpec:
						for _, name := range spec.Names {
							declared[file.Name.Name+"."+name.Name] = true
						}
					}
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return declared
}
