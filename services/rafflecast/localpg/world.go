//go:build unix

package localpg

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"time"
)

// world is what the finder sees of the machine.
type world struct {
	lookPath func(program string) (string, error)
	glob     func(pattern string) ([]string, error)
	// reaches reports whether the user that would run PostgreSQL can enter dir.
	reaches func(dir string) bool
	// run runs a program in dir with further environment variables, and returns its output, the end of which is in
	// the error too.
	run      func(ctx context.Context, dir string, env []string, program string, args ...string) (string, error)
	root     bool
	etc      string // where the system's configuration is
	shared   string // where root keeps a download that another user must reach
	platform string // in npm's terms, such as "linux-x64"
}

func realWorld() world {
	arch := map[string]string{"amd64": "x64", "arm64": "arm64"}[runtime.GOARCH]
	return world{
		lookPath: exec.LookPath, glob: filepath.Glob, run: runProgram,
		reaches: func(dir string) bool {
			acct, err := pickAccount("")
			return err == nil && acct.reaches(dir)
		},
		root: os.Geteuid() == 0, etc: "/etc", shared: filepath.Join(relocationRoots[0], "cache"),
		platform: runtime.GOOS + "-" + arch,
	}
}

func runProgram(ctx context.Context, dir string, env []string, program string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, program, args...) //nolint:gosec // G204: what the finder names
	cmd.Dir, cmd.Env = dir, append(os.Environ(), env...)
	cmd.WaitDelay = time.Second // for a killed program's children that hold its output
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s: %w: %s", filepath.Base(program), err, lastLines(string(out)))
	}
	return string(out), nil
}
