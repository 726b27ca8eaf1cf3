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

	"github.com/rafflecast/rafflecast/services/rafflecast/internal/filelock"
	"github.com/rafflecast/rafflecast/services/test/testenv"
)

func TestServer_EndsWithItsParent(t *testing.T) {
	t.Parallel()
	for _, guard := range []string{"kernel", "shell"} {
		t.Run(guard, func(t *testing.T) {
			t.Parallel()
			cfg := setup(t)
			h := startHelper(t, guard, cfg).awaitServer(t)
			must(t, query(t.Context(), h.url, makeTable))
			h.kill(t)
			s := startServer(t, cfg) // waits for the end of the killed run's server
			must(t, query(t.Context(), s.URL(), readTable))
		})
	}
}

func TestServer_IgnoresInterruptOfTerminal(t *testing.T) {
	t.Parallel()
	h := startHelper(t, "kernel", setup(t)).awaitServer(t)
	must(t, syscall.Kill(-h.cmd.Process.Pid, syscall.SIGINT)) // as the terminal does: to the whole group
	if line, err := h.out.ReadString('\n'); err != nil || line != "stopped\n" {
		t.Errorf("helper printed %q, %v", line, err)
	}
}

func TestInitdb_EndsWithItsParent(t *testing.T) {
	t.Parallel()
	for _, guard := range []string{"kernel", "shell"} {
		t.Run(guard, func(t *testing.T) {
			t.Parallel()
			cfg := setupEmpty(t)
			cfg.Binaries = fakeProgram(t, "initdb", `mkdir "$2/base"; exec sleep 600`)
			h := startHelper(t, guard, cfg)
			testenv.Eventually(t, "initdb runs", 10*time.Second, func() bool {
				return exists(filepath.Join(cfg.Dir, "data.new", "base"))
			})
			h.kill(t)
			awaitUnlocked(t, filepath.Join(cfg.Dir, "postgres.log"))
		})
	}
}

func TestStart_WaitsForProcessesOfKilledRun(t *testing.T) {
	t.Parallel()
	cfg := setup(t)
	log, err := filelock.Open(t.Context(), filepath.Join(cfg.Dir, "postgres.log"))
	must(t, err)
	backend := exec.CommandContext(t.Context(), "sleep", "600")
	backend.Stderr = log
	must(t, backend.Start())
	must(t, log.Close())
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err = Start(ctx, cfg)
	wantError(t, err, cfg.Dir, "PostgreSQL of an earlier run has not ended")
	time.AfterFunc(50*time.Millisecond, func() { _ = backend.Process.Kill() })
	startServer(t, cfg)
	if err := backend.Wait(); err == nil {
		t.Error("the earlier process had not been killed")
	}
}

func TestStart_LeavesForeignServerAlone(t *testing.T) {
	t.Parallel()
	cfg := setup(t)
	s := startServer(t, cfg)
	must(t, s.Stop(t.Context()))
	socket := openTemp(t)
	must(t, os.Chmod(socket, 0o777))
	other := s.acct.command(context.Background(), "/", filepath.Join(cfg.Binaries.Dir, "postgres"),
		"-D", s.file("data"), "-c", "listen_addresses=", "-c", "unix_socket_directories="+socket)
	must(t, other.Start())
	t.Cleanup(func() {
		_ = other.Process.Signal(syscall.SIGQUIT)
		_ = other.Wait()
	})
	testenv.Eventually(t, "the other server has written its pid file", 10*time.Second, func() bool {
		return exists(s.file("data/postmaster.pid"))
	})
	_, err := Start(t.Context(), cfg)
	wantError(t, err, cfg.Dir, "PID "+strconv.Itoa(other.Process.Pid))
	must(t, other.Process.Signal(syscall.Signal(0)))
}

func TestStart_IgnoresStalePIDFile(t *testing.T) {
	t.Parallel()
	acct, err := pickAccount("") // postgres heeds only processes of its own user
	must(t, err)
	other, zombie := acct.command(t.Context(), "/", "sleep", "600"), acct.command(t.Context(), "/", "true")
	for _, cmd := range []*exec.Cmd{other, zombie} {
		must(t, cmd.Start())
		t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	}
	for name, content := range map[string]string{
		"empty": "", "reused": fmt.Sprintln(other.Process.Pid), "zombie": fmt.Sprintln(zombie.Process.Pid),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := setup(t)
			must(t, os.WriteFile(filepath.Join(cfg.Dir, "data", "postmaster.pid"), []byte(content), 0o644))
			startServer(t, cfg)
		})
	}
}
