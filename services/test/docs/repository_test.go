package docs

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"unicode"
)

// root is the top of the repository.
const root = "../../.."

// repository is what documents may name.
type repository struct {
	files    map[string]bool     // files and directories, by their paths
	names    map[string]bool     // the last elements of these paths
	ignored  []string            // what builds and runs leave behind, by .gitignore
	targets  map[string]bool     // of make
	packages map[string][]string // directories of Go packages, by the package's name
	programs map[string]*program // by name
	sources  string              // of all files but documents and pictures
	words    map[string]bool     // of the sources
}

// program is what a program of ours accepts.
type program struct {
	commands map[string]bool
	flags    map[string]bool // of any command, with --
}

// open reads the repository, once for all tests.
var open = sync.OnceValues(func() (*repository, error) {
	r := &repository{
		files: map[string]bool{}, names: map[string]bool{}, targets: map[string]bool{},
		packages: map[string][]string{}, programs: map[string]*program{},
	}
	ignored, err := os.ReadFile(filepath.Join(root, ".gitignore"))
	if err != nil {
		return nil, err
	}
	for line := range strings.FieldsSeq(string(ignored)) {
		r.ignored = append(r.ignored, strings.Trim(line, "/"))
	}
	if err := r.readFiles(); err != nil {
		return nil, err
	}
	if err := r.readTargets(); err != nil {
		return nil, err
	}
	return r, r.readPrograms()
})

func setup(t *testing.T) *repository {
	t.Helper()
	r, err := open()
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// readFiles reads the tree, without git's directory and what git ignores.
func (r *repository) readFiles() error {
	var sources strings.Builder
	err := filepath.WalkDir(root, func(path string, entry os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(root, path)
		if err != nil || name == "." {
			return err
		}
		if name == ".git" || slices.Contains(r.ignored, name) {
			if entry.IsDir() {
				return filepath.SkipDir
			}
			return nil
		}
		r.files[name], r.names[entry.Name()] = true, true
		if entry.IsDir() {
			return nil
		}
		return r.readSource(&sources, path, name)
	})
	r.sources, r.words = sources.String(), map[string]bool{}
	for _, word := range strings.FieldsFunc(r.sources, func(c rune) bool { return !isWordRune(c) }) {
		r.words[word] = true
	}
	return err
}

func isWordRune(c rune) bool { return c == '_' || unicode.IsLetter(c) || unicode.IsDigit(c) }

// readSource adds a file to the sources, unless it is a document, a picture, or this
// test, and to the packages.
func (r *repository) readSource(sources *strings.Builder, path, name string) error {
	switch filepath.Ext(name) {
	case ".md", ".png", ".webp":
		return nil
	}
	dir := filepath.Dir(name)
	if dir == "services/test/docs" {
		return nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	sources.Write(text)
	sources.WriteByte('\n')
	if strings.HasSuffix(name, ".go") && !strings.HasSuffix(name, "_test.go") {
		file, err := parser.ParseFile(token.NewFileSet(), name, text, parser.PackageClauseOnly)
		if err != nil {
			return err
		}
		if pkg := file.Name.Name; !slices.Contains(r.packages[pkg], dir) {
			r.packages[pkg] = append(r.packages[pkg], dir)
		}
	}
	return nil
}

func (r *repository) readTargets() error {
	text, err := os.ReadFile(filepath.Join(root, "Makefile"))
	if err != nil {
		return err
	}
	for _, rule := range regexp.MustCompile(`(?m)^([a-z][a-z-]*):`).FindAllStringSubmatch(string(text), -1) {
		r.targets[rule[1]] = true
	}
	return nil
}

// readPrograms builds our programs and asks each for its commands and flags.
func (r *repository) readPrograms() error {
	dir, err := os.MkdirTemp("", "rafflecast-docs-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	names := []string{"participation", "gateway", "rafflecast"}
	build := []string{"build", "-o", dir}
	for _, name := range names {
		build = append(build, fmt.Sprintf("github.com/rafflecast/rafflecast/services/%[1]s/cmd/%[1]s", name))
	}
	if out, err := exec.Command("go", build...).CombinedOutput(); err != nil {
		return fmt.Errorf("build: %w\n%s", err, out)
	}
	for _, name := range names {
		out, err := exec.Command(filepath.Join(dir, name), "settings").Output()
		if err != nil {
			return fmt.Errorf("%s settings: %w", name, err)
		}
		var settings []struct{ Command, Flag string }
		if err := json.Unmarshal(out, &settings); err != nil {
			return fmt.Errorf("%s settings: %w", name, err)
		}
		help, err := exec.Command(filepath.Join(dir, name), "--help").Output()
		if err != nil {
			return fmt.Errorf("%s --help: %w", name, err)
		}
		p := &program{commands: map[string]bool{"help": true}, flags: map[string]bool{}}
		for _, command := range regexp.MustCompile(`(?m)^  ([a-z-]+) (?:.* )?\[flags\]$`).FindAllSubmatch(help, -1) {
			p.commands[string(command[1])] = true // those without settings, too
		}
		for _, s := range settings {
			p.commands[s.Command], p.flags[s.Flag] = true, true
		}
		r.programs[name] = p
	}
	return nil
}

// hasFlag reports whether any program has a flag.
func (r *repository) hasFlag(flag string) bool {
	if flag == "--help" {
		return true
	}
	for _, p := range r.programs {
		if p.flags[flag] {
			return true
		}
	}
	return false
}

// mentions reports whether a text occurs in the sources, and if it is a word, as one.
func (r *repository) mentions(text string) bool {
	if strings.ContainsFunc(text, func(c rune) bool { return !isWordRune(c) }) {
		return strings.Contains(r.sources, text)
	}
	return r.words[text]
}

// declares reports whether a package of ours with a name declares an identifier, or
// a method of a type.
func (r *repository) declares(pkg, identifier, method string) (bool, error) {
	for _, dir := range r.packages[pkg] {
		files, err := filepath.Glob(filepath.Join(root, dir, "*.go"))
		if err != nil {
			return false, err
		}
		for _, name := range files {
			file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
			if err != nil {
				return false, err
			}
			if slices.ContainsFunc(file.Decls, func(d ast.Decl) bool { return declaration(d, identifier, method) }) {
				return true, nil
			}
		}
	}
	return false, nil
}

// declaration reports whether d declares an identifier of a package, or, unless
// method is "", that method of a type.
func declaration(d ast.Decl, identifier, method string) bool {
	switch d := d.(type) {
	case *ast.FuncDecl:
		if d.Recv == nil {
			return method == "" && d.Name.Name == identifier
		}
		receiver := d.Recv.List[0].Type
		if star, ok := receiver.(*ast.StarExpr); ok {
			receiver = star.X
		}
		name, ok := receiver.(*ast.Ident)
		return ok && method != "" && name.Name == identifier && d.Name.Name == method
	case *ast.GenDecl:
		return method == "" && slices.ContainsFunc(d.Specs, func(s ast.Spec) bool {
			switch s := s.(type) {
			case *ast.TypeSpec:
				return s.Name.Name == identifier
			case *ast.ValueSpec:
				return slices.ContainsFunc(s.Names, func(n *ast.Ident) bool { return n.Name == identifier })
			}
			return false
		})
	}
	return false
}
