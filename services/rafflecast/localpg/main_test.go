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
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/rafflecast/rafflecast/services/rafflecast/internal/filelock"
	"github.com/rafflecast/rafflecast/services/test/testenv"
)

// The test binary is also a program that supervises a server, for tests that kill it: kernel and
// shell name what guards the server, temp makes it a temporary one.
const (
	helperKind = "LOCALPG_TEST_HELPER"
	helperDir  = "LOCALPG_TEST_DIR"
	helperBin  = "LOCALPG_TEST_BIN" // instead of the binaries that Find returns
)

func TestMain(m *testing.M) {
	if kind := os.Getenv(helperKind); kind != "" {
		if err := runHelper(kind, os.Getenv(helperDir), os.Getenv(helperBin)); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		return
	}
	code := m.Run()
	if dir, ok := templateDir.Load().(string); ok {
		_ = os.RemoveAll(dir)
	}
	os.Exit(code)
}

// runHelper prints the server's URL and the postmaster's pid. It stops the server when its input
// ends or on SIGINT, and then prints "stopped".
func runHelper(kind, dir, bin string) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	b, err := Find(ctx, FindOptions{Offline: true})
	if err != nil {
		return err
	}
	if bin != "" {
		b.Dir = bin
	}
	start := Start
	if kind == "temp" {
		start = StartTemp
	}
	s, err := start(ctx, Config{Binaries: b, Dir: dir, Settings: fast, shellOnly: kind == "shell"})
	if err != nil {
		return err
	}
	fmt.Printf("%s\t%d\n", s.URL(), s.cmd.Process.Pid)
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		stop()
	}()
	<-ctx.Done()
	if err := query(context.Background(), s.URL(), "SELECT 1"); err != nil {
		return err // the interrupt has reached postgres
	}
	err = s.Stop(context.Background())
	fmt.Println("stopped")
	return err
}

// helper is a running helper program.
type helper struct {
	cmd *exec.Cmd
	out *bufio.Reader
	url string
	pid int // of the postmaster
}

// startHelper starts the program; awaitServer waits until its server is ready.
func startHelper(t *testing.T, kind string, cfg Config) *helper {
	t.Helper()
	h := &helper{cmd: exec.Command(os.Args[0])}
	h.cmd.Env = append(os.Environ(), helperKind+"="+kind, helperDir+"="+cfg.Dir, helperBin+"="+cfg.Binaries.Dir)
	h.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	h.cmd.Stderr = t.Output()
	stdin, err := h.cmd.StdinPipe()
	must(t, err)
	stdout, err := h.cmd.StdoutPipe()
	must(t, err)
	must(t, h.cmd.Start())
	t.Cleanup(func() { _ = stdin.Close(); _ = h.cmd.Wait() })
	h.out = bufio.NewReader(stdout)
	return h
}

func (h *helper) awaitServer(t *testing.T) *helper {
	t.Helper()
	line, err := h.out.ReadString('\n')
	url, pid, ok := strings.Cut(strings.TrimSpace(line), "\t")
	if err != nil || !ok {
		t.Fatalf("helper printed %q, %v", line, err)
	}
	h.url = url
	h.pid, err = strconv.Atoi(pid)
	must(t, err)
	return h
}

func (h *helper) kill(t *testing.T) {
	t.Helper()
	must(t, h.cmd.Process.Kill())
	_ = h.cmd.Wait()
}

// template makes a data directory once: to copy it is faster than initdb.
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
	s, err := Start(ctx, Config{Binaries: b, Dir: dir})
	if err != nil {
		return "", err
	}
	return dir, s.Stop(ctx)
}

// fast makes a server not wait for the disk: no test cuts the power.
var fast = map[string]string{"fsync": "off"}

// setup returns a configuration whose directory has data. At the end of the test it checks that
// nothing else is left there.
func setup(t *testing.T) Config {
	t.Helper()
	cfg := setupEmpty(t)
	copyTemplate(t, cfg.Dir)
	return cfg
}

func copyTemplate(t *testing.T, dir string) {
	t.Helper()
	from, err := template()
	must(t, err)
	must(t, os.MkdirAll(dir, 0o755))
	out, err := exec.CommandContext(t.Context(), "cp", "-a", filepath.Join(from, "data"), dir).CombinedOutput()
	if err != nil {
		t.Fatalf("cp: %v: %s", err, out)
	}
}

// setupEmpty is setup without data.
func setupEmpty(t *testing.T) Config {
	t.Helper()
	cfg := Config{Binaries: binaries(t), Dir: filepath.Join(openTemp(t), "pg"), Settings: fast, Log: logger(t)}
	t.Cleanup(func() { checkNothingLeft(t, cfg.Dir) })
	return cfg
}

// checkNothingLeft checks that no process has the log open and that no temporary files exist.
func checkNothingLeft(t *testing.T, dir string) {
	t.Helper()
	if log := filepath.Join(dir, "postgres.log"); exists(log) {
		awaitUnlocked(t, log)
	}
	if run := filepath.Join(dir, "run"); exists(run) {
		t.Errorf("%s is left", run)
	}
}

// awaitUnlocked waits until every process of a server has ended.
func awaitUnlocked(t *testing.T, log string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	f, err := filelock.Open(ctx, log)
	must(t, err)
	must(t, f.Close())
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

func binaries(t *testing.T) Binaries {
	t.Helper()
	b, err := Find(t.Context(), FindOptions{Offline: true})
	if err != nil {
		testenv.SkipMissing(t, "PostgreSQL: "+err.Error())
	}
	return b
}

// fakeProgram returns binaries of which one is a script.
func fakeProgram(t *testing.T, name, script string) Binaries {
	t.Helper()
	b := binaries(t)
	b.Dir = openTemp(t)
	writeScript(t, filepath.Join(b.Dir, name), script)
	return b
}

func writeScript(t *testing.T, path, script string) {
	t.Helper()
	must(t, os.MkdirAll(filepath.Dir(path), 0o755))
	must(t, os.WriteFile(path, []byte("#!/bin/sh\n"+script+"\n"), 0o755))
}

// openTemp is t.TempDir that root's account can reach.
func openTemp(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	must(t, os.Chmod(filepath.Dir(dir), 0o711))
	must(t, os.Chmod(dir, 0o755))
	return dir
}

// startServer starts a server, which is stopped at the end of the test.
func startServer(t *testing.T, cfg Config) *Server {
	t.Helper()
	s, err := Start(t.Context(), cfg)
	must(t, err)
	t.Cleanup(func() { must(t, s.Stop(context.Background())) })
	return s
}

const makeTable, readTable = "CREATE TABLE t AS SELECT 42 AS n", "SELECT n FROM t"

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
