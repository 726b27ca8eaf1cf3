package fuzz

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

// target is a fuzz target.
type target struct {
	module string // the directory of its module
	pkg    string // import path
	name   string
}

func (t target) String() string { return t.pkg + "." + t.name }

// modules returns the directories of all modules under root. Directories that begin
// with a dot, and those of npm, hold none of ours.
func modules(root string) (dirs []string, err error) {
	err = filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && path != root && (strings.HasPrefix(entry.Name(), ".") || entry.Name() == "node_modules"):
			return fs.SkipDir
		case entry.Name() == "go.mod":
			dirs = append(dirs, filepath.Dir(path))
		}
		return nil
	})
	return dirs, err
}

// targets returns all fuzz targets of the modules under root.
func targets(ctx context.Context, root string) (found []target, err error) {
	dirs, err := modules(root)
	if err != nil {
		return nil, fmt.Errorf("find the modules: %w", err)
	}
	for _, dir := range dirs {
		var out, failed bytes.Buffer
		if err := goTest(ctx, dir, &out, &failed, "-json", "-list=^Fuzz", "./..."); err != nil {
			return nil, fmt.Errorf("list the targets of %s: %w\n%s%s", dir, err, failed.Bytes(), outputOf(&out))
		}
		list, err := listed(dir, &out)
		if err != nil {
			return nil, fmt.Errorf("list the targets of %s: %w", dir, err)
		}
		found = append(found, list...)
	}
	return found, nil
}

// event is an event of go test -json (go doc test2json).
type event struct{ Action, Package, Output string }

var targetName = regexp.MustCompile(`^Fuzz\w*$`)

// listed returns the targets in the output of go test -json -list.
func listed(dir string, out io.Reader) (found []target, err error) {
	decoder := json.NewDecoder(out)
	for {
		var e event
		if err := decoder.Decode(&e); errors.Is(err, io.EOF) {
			return found, nil
		} else if err != nil {
			return nil, err
		}
		if name := strings.TrimSpace(e.Output); e.Action == "output" && targetName.MatchString(name) {
			found = append(found, target{dir, e.Package, name})
		}
	}
}

// outputOf returns what the tests wrote, of the events of go test -json.
func outputOf(events io.Reader) string {
	var text strings.Builder
	for decoder := json.NewDecoder(events); ; {
		var e event
		if decoder.Decode(&e) != nil {
			return text.String()
		}
		text.WriteString(e.Output)
	}
}

// goTest runs go test in the directory of a module, without the workspace.
func goTest(ctx context.Context, dir string, out, failed io.Writer, args ...string) error {
	cmd := exec.CommandContext(ctx, "go", append([]string{"test"}, args...)...) //nolint:gosec // G204: packages and targets of this repository
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, out, failed
	cmd.Env = append(os.Environ(), "GOWORK=off")
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) } // go test ends its children
	cmd.WaitDelay = stopDelay
	return cmd.Run()
}
