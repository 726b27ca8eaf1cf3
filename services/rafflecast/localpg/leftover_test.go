//go:build unix

package localpg

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/rafflecast/rafflecast/services/test/testenv"
)

func TestServerEndsWithItsParent(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"start", "watchdog"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			cfg := setup(t)
			h := startHelper(t, kind, cfg.Dir)
			must(t, query(t.Context(), h.url, "CREATE TABLE t AS SELECT 42 AS n"))
			h.kill(t)
			begun := time.Now()
			name, err := nameOf(h.dir)
			must(t, err)
			testenv.Eventually(t, "postgres ends", 10*time.Second, func() bool { return len(orphansOf(t, name)) == 0 })
			t.Logf("postgres ended %v after its parent", time.Since(begun))
			s := begin(t, cfg, options{})
			must(t, query(t.Context(), s.URL(), "SELECT n FROM t"))
		})
	}
}

func TestStartRightAfterKill(t *testing.T) {
	t.Parallel()
	cfg := setup(t)
	h := startHelper(t, "start", cfg.Dir)
	must(t, query(t.Context(), h.url, "CREATE TABLE t AS SELECT 42 AS n"))
	h.kill(t)
	s := begin(t, cfg, options{})
	must(t, query(t.Context(), s.URL(), "SELECT n FROM t"))
}

func TestInterruptDoesNotReachPostgres(t *testing.T) {
	t.Parallel()
	cfg := setup(t)
	h := startHelper(t, "start", cfg.Dir)
	must(t, syscall.Kill(-h.cmd.Process.Pid, syscall.SIGINT)) // as the terminal does: to the whole group
	if line, err := h.out.ReadString('\n'); err != nil || line != "stopped in order\n" {
		t.Errorf("helper said %q, %v", line, err)
	}
}

// orphan starts a postgres on cfg.Dir that nothing guards, and gives the lock back. It is a child of the test, so that
// it becomes a zombie when it ends, until the end of the test.
func orphan(t *testing.T, cfg Config, args func(*Server) []string) *exec.Cmd {
	t.Helper()
	cfg.setDefaults()
	pl, err := openPlace(t.Context(), cfg, options{})
	must(t, err)
	lock, err := lockFile(t.Context(), pl.file("lock"))
	must(t, err)
	defer lock.Close()
	s := &Server{cfg: cfg, place: pl, lock: lock, done: make(chan struct{})}
	must(t, s.prepare(t.Context()))
	cmd := cfg.Binaries.command(context.Background(), "postgres", s.place, args(s)...)
	must(t, cmd.Start())
	t.Cleanup(func() { // not by SIGKILL, which leaves shared memory behind
		_ = cmd.Process.Signal(syscall.SIGQUIT)
		_ = cmd.Wait()
	})
	s.url = s.dsn(cfg.Database)
	must(t, s.awaitReady(t.Context()))
	must(t, query(t.Context(), s.url, "CREATE TABLE t AS SELECT 42 AS n"))
	return cmd
}

func TestOrphanIsStopped(t *testing.T) {
	t.Parallel()
	cfg := setup(t)
	orphan(t, cfg, (*Server).arguments)
	s := begin(t, cfg, options{})
	must(t, query(t.Context(), s.URL(), "SELECT n FROM t"))
}

func TestZombieDoesNotBlock(t *testing.T) {
	t.Parallel()
	cfg := setup(t)
	dead := orphan(t, cfg, (*Server).arguments)
	must(t, dead.Process.Kill()) // its pid stays in postmaster.pid, and taken
	s := begin(t, cfg, options{})
	must(t, query(t.Context(), s.URL(), "SELECT n FROM t"))
}

func TestForeignServerIsLeftAlone(t *testing.T) {
	t.Parallel()
	cfg := setup(t)
	other := orphan(t, cfg, func(s *Server) []string {
		return []string{"-D", s.place.data(), "-c", "listen_addresses=", "-c", "unix_socket_directories=" + s.place.socket}
	})
	_, err := start(t.Context(), cfg, options{})
	wantError(t, err, cfg.Dir, "started by other means", strconv.Itoa(other.Process.Pid))
	must(t, other.Process.Signal(syscall.Signal(0)))
	must(t, os.RemoveAll(filepath.Join(cfg.Dir, "run"))) // the test's own
}

func TestReusedPidDoesNotBlock(t *testing.T) {
	t.Parallel()
	cfg := setup(t)
	file := filepath.Join(cfg.Dir, "data", "postmaster.pid")
	must(t, os.WriteFile(file, fmt.Appendf(nil, "%d\n", os.Getppid()), 0o644))
	begin(t, cfg, options{})
}

func TestUnfinishedInitdbIsRemoved(t *testing.T) {
	t.Parallel()
	cfg := setupEmpty(t)
	must(t, os.MkdirAll(filepath.Join(cfg.Dir, "data.new-1", "base"), 0o755))
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond) // in the middle of initdb, most likely
	defer cancel()
	_, err := start(ctx, cfg, options{})
	wantError(t, err, cfg.Dir)
	checkNothingLeft(t, cfg.Dir)
	begin(t, cfg, options{})
}

func TestDataOfAnotherVersion(t *testing.T) {
	t.Parallel()
	cfg := setup(t)
	cfg.Binaries.Major++
	_, err := start(t.Context(), cfg, options{})
	wantError(t, err, filepath.Join(cfg.Dir, "data"), "are of PostgreSQL", "remove the directory")
}

func TestDataOfAnotherKind(t *testing.T) {
	t.Parallel()
	cfg := setupEmpty(t)
	data := filepath.Join(cfg.Dir, "data")
	must(t, os.MkdirAll(data, 0o755))
	acct, err := pickAccount("")
	must(t, err)
	must(t, os.WriteFile(filepath.Join(data, "letter.txt"), nil, 0o600))
	must(t, acct.own(data))
	_, err = start(t.Context(), cfg, options{})
	wantError(t, err, data, "neither empty nor")
}

func TestDataOfAnotherUser(t *testing.T) {
	t.Parallel()
	cfg := setupEmpty(t)
	must(t, os.Mkdir(cfg.Dir, 0o755))
	must(t, os.Symlink("/usr", filepath.Join(cfg.Dir, "data"))) // root's, and root cannot run PostgreSQL either
	_, err := start(t.Context(), cfg, options{})
	wantError(t, err, cfg.Dir, "belong to root")
}

func TestEmptyDataDirectoryIsFilled(t *testing.T) {
	t.Parallel()
	cfg := setupEmpty(t)
	must(t, os.MkdirAll(filepath.Join(cfg.Dir, "data"), 0o755))
	begin(t, cfg, options{})
}
