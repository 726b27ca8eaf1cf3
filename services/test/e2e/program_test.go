package e2e_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// binaries builds our programs once, and returns the directory that holds them.
var binaries = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "rafflecast-e2e-")
	if err != nil {
		return "", err
	}
	out, err := exec.Command("go", "build", "-o", dir,
		"github.com/rafflecast/rafflecast/services/rafflecast/cmd/rafflecast",
		"github.com/rafflecast/rafflecast/services/participation/cmd/participation",
		"github.com/rafflecast/rafflecast/services/gateway/cmd/gateway").CombinedOutput()
	if err != nil {
		return dir, fmt.Errorf("build: %w\n%s", err, out)
	}
	return dir, nil
})

func TestMain(m *testing.M) {
	attackInstead()
	serveBareInstead()
	code := m.Run()
	if dir, _ := binaries(); dir != "" {
		_ = os.RemoveAll(dir)
	}
	os.Exit(code)
}

// program is one of our programs, running as a process of its own. Its log is kept,
// and is part of the test's if that fails.
type program struct {
	t     *testing.T
	cmd   *exec.Cmd
	mu    sync.Mutex
	lines []string      // of its log
	grown chan struct{} // capacity 1: lines has grown
	ended chan struct{} // closed when the process has ended
	err   error         // of the process, once it has ended
}

// launch starts a program, which is killed when the test ends.
func launch(t *testing.T, name string, args ...string) *program {
	t.Helper()
	return launchWith(t, nil, name, args...)
}

// launchWith is launch with environment variables besides the test's own.
func launchWith(t *testing.T, environment []string, name string, args ...string) *program {
	t.Helper()
	return launchCommand(t, environment, name, exec.Command(binary(t, name), args...))
}

// launchWithFiles is launchWith for a program that may open so many files.
func launchWithFiles(t *testing.T, files int, environment []string, name string, args ...string) *program {
	t.Helper()
	limited := append([]string{"-c", fmt.Sprintf(`ulimit -n %d && exec "$0" "$@"`, files), binary(t, name)}, args...)
	return launchCommand(t, environment, name, exec.Command("sh", limited...))
}

// binary returns the path of one of our programs.
func binary(t *testing.T, name string) string {
	t.Helper()
	dir, err := binaries()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, name)
}

func launchCommand(t *testing.T, environment []string, name string, cmd *exec.Cmd) *program {
	t.Helper()
	p := &program{
		t:     t,
		cmd:   cmd,
		grown: make(chan struct{}, 1),
		ended: make(chan struct{}),
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.cmd.Stderr = p.cmd.Stdout
	p.cmd.Env = append(os.Environ(), environment...)
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.ended)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			p.addLine(lines.Text())
		}
		p.err = p.cmd.Wait()
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		<-p.ended
		if t.Failed() {
			t.Logf("%s:\n%s", name, p.log())
		}
	})
	return p
}

func (p *program) addLine(line string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lines = append(p.lines, line)
	select {
	case p.grown <- struct{}{}:
	default:
	}
}

// log returns what the program has logged by now.
func (p *program) log() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Join(p.lines, "\n")
}

// find returns the submatches of the first line of the log that matches, nil if
// none does.
func (p *program) find(pattern *regexp.Regexp) []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, line := range p.lines {
		if found := pattern.FindStringSubmatch(line); found != nil {
			return found
		}
	}
	return nil
}

// awaitLog waits until a line of the log matches, and returns its submatches.
func (p *program) awaitLog(pattern string) []string {
	p.t.Helper()
	re := regexp.MustCompile(pattern)
	timeout := time.After(60 * time.Second)
	for {
		ended := false
		select {
		case <-p.ended:
			ended = true
		default:
		}
		if found := p.find(re); found != nil {
			return found
		}
		if ended {
			p.t.Fatalf("%s ended (%v) and did not log %s", p.cmd.Path, p.err, pattern)
		}
		select {
		case <-p.grown:
		case <-p.ended:
		case <-timeout:
			p.t.Fatalf("%s did not log %s within 60 s", p.cmd.Path, pattern)
		}
	}
}

// awaitEnd waits until the program has ended.
func (p *program) awaitEnd() error {
	p.t.Helper()
	select {
	case <-p.ended:
	case <-time.After(30 * time.Second):
		p.t.Fatalf("%s did not end within 30 s", p.cmd.Path)
	}
	return p.err
}

// stop sends a signal and returns how long the program took to end, and how it
// ended.
func (p *program) stop(signal syscall.Signal) (time.Duration, error) {
	p.t.Helper()
	start := time.Now()
	if err := p.cmd.Process.Signal(signal); err != nil {
		p.t.Fatal(err)
	}
	err := p.awaitEnd()
	return time.Since(start), err
}
