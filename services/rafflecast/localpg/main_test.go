//go:build unix

package localpg

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/rafflecast/rafflecast/services/test/testenv"
)

// helperEnv makes the test binary a program that runs a server, for tests that kill it: start, watchdog or temp.
const helperEnv = "LOCALPG_TEST_HELPER"

func TestMain(m *testing.M) {
	if kind := os.Getenv(helperEnv); kind != "" {
		os.Exit(runHelper(kind, os.Getenv("LOCALPG_TEST_DIR")))
	}
	code := m.Run()
	if used, ok := templateDir.Load().(string); ok {
		_ = os.RemoveAll(used)
	}
	os.Exit(code)
}

// template is a stopped server's directory, made once: a copy of it is ready sooner than initdb.
var (
	template    = sync.OnceValues(makeTemplate)
	templateDir atomic.Value // for TestMain to remove
)

func makeTemplate() (string, error) {
	ctx := context.Background()
	b, err := Find(ctx, FindOptions{Offline: true})
	if err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp("", "localpg-test-")
	if err != nil {
		return "", err
	}
	templateDir.Store(dir)
	if err := os.Chmod(dir, 0o711); err != nil {
		return "", err
	}
	s, err := start(ctx, Config{Binaries: b, Dir: dir}, options{})
	if err != nil {
		return "", err
	}
	return dir, s.Stop(ctx)
}

// runHelper prints the server's URL, directory and pid, and stops the server when its input ends or on SIGINT.
func runHelper(kind, dir string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	b, err := Find(ctx, FindOptions{Offline: true})
	if err != nil {
		fmt.Println(err)
		return 1
	}
	cfg := Config{Binaries: b, Dir: dir}
	var s *Server
	if kind == "temp" {
		s, err = startTemp(ctx, cfg, options{relocateTo: relocationRoots})
	} else {
		s, err = start(ctx, cfg, options{watchdog: kind == "watchdog", relocateTo: relocationRoots})
	}
	if err != nil {
		fmt.Println(err)
		return 1
	}
	fmt.Printf("%s\t%s\t%d\n", s.URL(), s.place.dir, s.pg.pid())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		stop()
	}()
	<-ctx.Done()
	if err := query(context.Background(), s.URL(), "SELECT 1"); err != nil {
		fmt.Println(err) // the interrupt has reached postgres
		return 1
	}
	if err := s.Stop(context.Background()); err != nil {
		fmt.Println(err)
		return 1
	}
	fmt.Println("stopped in order")
	return 0
}

// helper is a running helper program.
type helper struct {
	cmd      *exec.Cmd
	out      *bufio.Reader
	url, dir string
	pid      int // of the postmaster
}

func startHelper(t *testing.T, kind, dir string) *helper {
	t.Helper()
	h := &helper{cmd: exec.Command(os.Args[0])}
	h.cmd.Env = append(os.Environ(), helperEnv+"="+kind, "LOCALPG_TEST_DIR="+dir)
	h.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	h.cmd.Stderr = t.Output()
	stdin, err := h.cmd.StdinPipe()
	must(t, err)
	stdout, err := h.cmd.StdoutPipe()
	must(t, err)
	must(t, h.cmd.Start())
	t.Cleanup(func() { _ = stdin.Close(); _ = h.cmd.Wait() })
	h.out = bufio.NewReader(stdout)
	line, err := h.out.ReadString('\n')
	fields := strings.Split(strings.TrimSpace(line), "\t")
	if err != nil || len(fields) != 3 {
		t.Fatalf("helper said %q, %v", line, err)
	}
	h.url, h.dir = fields[0], fields[1]
	h.pid, err = strconv.Atoi(fields[2])
	must(t, err)
	return h
}

func (h *helper) kill(t *testing.T) {
	t.Helper()
	must(t, h.cmd.Process.Kill())
	_ = h.cmd.Wait()
}

// setup returns a configuration with a directory of its own that has data, and is checked in the end for anything left
// behind.
func setup(t *testing.T) Config {
	t.Helper()
	cfg := setupEmpty(t)
	dir, err := template()
	must(t, err)
	must(t, os.Mkdir(cfg.Dir, 0o755))
	out, err := exec.CommandContext(t.Context(), "cp", "-a", filepath.Join(dir, "data"), cfg.Dir).CombinedOutput()
	if err != nil {
		t.Fatalf("cp: %v: %s", err, out)
	}
	return cfg
}

// setupEmpty is setup without data.
func setupEmpty(t *testing.T) Config {
	t.Helper()
	cfg := Config{Binaries: binaries(t), Dir: filepath.Join(openTemp(t), "pg"), Log: logger(t)}
	t.Cleanup(func() { checkNothingLeft(t, cfg.Dir) })
	return cfg
}

func binaries(t *testing.T) Binaries {
	t.Helper()
	b, err := Find(t.Context(), FindOptions{Offline: true})
	if err != nil {
		testenv.SkipMissing(t, "PostgreSQL: "+err.Error())
	}
	return b
}

// openTemp is t.TempDir, made such that root's stand-in reaches it.
func openTemp(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	must(t, os.Chmod(filepath.Dir(dir), 0o711))
	return dir
}

func checkNothingLeft(t *testing.T, dir string) {
	t.Helper()
	if _, err := os.Stat(dir); err != nil {
		return
	}
	name, err := nameOf(dir)
	must(t, err)
	if left := orphansOf(t, name); len(left) > 0 {
		t.Errorf("processes left: %v", left)
	}
	for _, pattern := range []string{"run", "data.new-*"} {
		if left, _ := filepath.Glob(filepath.Join(dir, pattern)); len(left) > 0 {
			t.Errorf("files left: %v", left)
		}
	}
}

func orphansOf(t *testing.T, name string) []running {
	t.Helper()
	left, err := place{name: name}.orphans(context.Background())
	must(t, err)
	return left
}

// begin starts a server and stops it at the end of the test.
func begin(t *testing.T, cfg Config, o options) *Server {
	t.Helper()
	s, err := start(t.Context(), cfg, o)
	must(t, err)
	t.Cleanup(func() { must(t, s.Stop(context.Background())) })
	return s
}

func query(ctx context.Context, url, sql string, dest ...any) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	if len(dest) == 0 {
		_, err = conn.Exec(ctx, sql)
		return err
	}
	return conn.QueryRow(ctx, sql).Scan(dest...)
}

// wantError checks for an error on one line that has every one of the words.
func wantError(t *testing.T, err error, words ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error; want one with %q", words)
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("error %q lacks %q", err, w)
		}
	}
	if strings.ContainsAny(err.Error(), "\r\n") {
		t.Errorf("error has several lines: %q", err)
	}
}

func logger(t *testing.T) *slog.Logger {
	t.Helper()
	return slog.New(slog.NewTextHandler(t.Output(), nil))
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
