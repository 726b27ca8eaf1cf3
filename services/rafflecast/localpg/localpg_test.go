package localpg

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rafflecast/rafflecast/services/test/testenv"
)

func TestStart_KeepsData(t *testing.T) {
	t.Parallel()
	cfg := setupEmpty(t)
	s, err := Start(t.Context(), cfg)
	must(t, err)
	must(t, query(t.Context(), s.URL(), makeTable))
	must(t, s.Stop(t.Context()))
	must(t, s.Err())
	s = startServer(t, cfg)
	var n int
	must(t, query(t.Context(), s.URL(), readTable, &n))
	if n != 42 {
		t.Errorf("n is %d", n)
	}
}

func TestServer_IsPrivate(t *testing.T) {
	t.Parallel()
	cfg := setup(t)
	cfg.Settings = map[string]string{"work_mem": "7MB", "listen_addresses": "127.0.0.1"}
	s := startServer(t, cfg)
	for _, dir := range []string{s.socket, s.file("data")} {
		info, err := os.Stat(dir)
		must(t, err)
		if info.Mode().Perm() != 0o700 {
			t.Errorf("%s has mode %v", dir, info.Mode())
		}
	}
	for sql, want := range map[string]string{
		"SHOW listen_addresses": "", "SHOW server_encoding": "UTF8", "SHOW work_mem": "7MB", "SHOW fsync": "on",
		"SELECT current_database()": "rafflecast", "SELECT current_user::text": "rafflecast",
		"SELECT string_agg(DISTINCT type || auth_method, ' ') FROM pg_hba_file_rules": "hostreject localtrust",
	} {
		var got string
		must(t, query(t.Context(), s.URL(), sql, &got))
		if got != want {
			t.Errorf("%s is %q, want %q", sql, got, want)
		}
	}
}

func TestServer_URLWorksInPsql(t *testing.T) {
	t.Parallel()
	psql := testenv.NeedProgram(t, "psql")
	cfg := setupEmpty(t)
	cfg.Dir = filepath.Join(cfg.Dir, `a b+c%"é'`)
	copyTemplate(t, cfg.Dir)
	s := startServer(t, cfg)
	out, err := exec.CommandContext(t.Context(), psql, "-XAtc", "SELECT 6*7", s.URL()).CombinedOutput()
	if err != nil || strings.TrimSpace(string(out)) != "42" {
		t.Errorf("psql %q: %s, %v", s.URL(), out, err)
	}
	must(t, query(t.Context(), s.URL(), "SELECT 1"))
}

func TestServer_MovesSocketOutOfUnusablePath(t *testing.T) {
	t.Parallel()
	for name, sub := range map[string]string{"long": strings.Repeat("x", 100), "comma": "a,b"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := setupEmpty(t)
			cfg.Dir = filepath.Join(cfg.Dir, sub)
			copyTemplate(t, cfg.Dir)
			s, err := Start(t.Context(), cfg)
			must(t, err)
			if strings.HasPrefix(s.socket, cfg.Dir) {
				t.Errorf("socket is in %s", s.socket)
			}
			must(t, s.Stop(t.Context()))
			if exists(s.socket) {
				t.Errorf("%s is left", s.socket)
			}
		})
	}
}

func TestStop_IsSafeConcurrently(t *testing.T) {
	t.Parallel()
	s := startServer(t, setup(t))
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if err := s.Stop(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	<-s.Done()
	must(t, s.Stop(t.Context()))
}

func TestStop_QuitsIfContextEnds(t *testing.T) {
	t.Parallel()
	cfg := setup(t)
	s := startServer(t, cfg)
	must(t, query(t.Context(), s.URL(), makeTable))
	must(t, s.cmd.Process.Signal(syscall.SIGSTOP)) // now only SIGKILL has an effect
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("the caller gave up"))
	wantError(t, s.Stop(ctx), cfg.Dir, "the caller gave up")
	must(t, s.Err())
	s = startServer(t, cfg)
	must(t, query(t.Context(), s.URL(), readTable))
}

func TestServer_ReportsItsEnd(t *testing.T) {
	t.Parallel()
	for _, sig := range []syscall.Signal{syscall.SIGKILL, syscall.SIGTERM} {
		t.Run(sig.String(), func(t *testing.T) {
			t.Parallel()
			cfg := setup(t)
			s := startServer(t, cfg)
			must(t, s.Err())
			must(t, s.cmd.Process.Signal(sig))
			<-s.Done()
			wantError(t, s.Err(), "ended by itself", cfg.Dir, "LOG: ")
			must(t, s.Stop(t.Context()))
			wantError(t, s.Err(), "ended by itself")
			startServer(t, cfg)
		})
	}
}

func TestStart_RefusesSecondRun(t *testing.T) {
	t.Parallel()
	cfg := setup(t)
	s := startServer(t, cfg)
	_, err := Start(t.Context(), cfg)
	wantError(t, err, cfg.Dir, "in use by another run, pid "+strconv.Itoa(os.Getpid()))
	must(t, query(t.Context(), s.URL(), "SELECT 1"))
}

func TestStart_RefusesBadConfig(t *testing.T) {
	t.Parallel()
	for _, cfg := range []Config{{}, {Dir: t.TempDir()}, {Binaries: Binaries{Dir: "/bin"}}} {
		_, err := Start(t.Context(), cfg)
		wantError(t, err, "Binaries", "Dir")
	}
}

func TestStart_QuotesLog(t *testing.T) {
	t.Parallel()
	cfg := setup(t)
	cfg.Settings = map[string]string{"max_connections": "many"}
	_, err := Start(t.Context(), cfg)
	wantError(t, err, cfg.Dir, `invalid value for parameter "max_connections": "many"`)
	cfg.Settings = nil
	startServer(t, cfg)
}

func TestStart_QuotesInitdb(t *testing.T) {
	t.Parallel()
	cfg := setupEmpty(t)
	cfg.Binaries = fakeProgram(t, "initdb", "printf 'no\\n\\tdisk\\n'; exit 3")
	must(t, os.Mkdir(cfg.Dir, 0o755))
	must(t, os.WriteFile(filepath.Join(cfg.Dir, "postgres.log"), []byte("an earlier run\n"), 0o600))
	_, err := Start(t.Context(), cfg)
	wantError(t, err, cfg.Dir, "initdb: exit status 3; the end of "+cfg.Dir+"/postgres.log: no; disk")
}

func TestStart_EndsWithContext(t *testing.T) {
	t.Parallel()
	for _, program := range []string{"initdb", "postgres"} {
		t.Run(program, func(t *testing.T) {
			t.Parallel()
			cfg := setupEmpty(t)
			if program == "postgres" {
				cfg = setup(t)
			}
			good := cfg.Binaries
			cfg.Binaries = fakeProgram(t, program, `[ $1 != -D ] || touch "$2/begun"; exec sleep 600`)
			ctx, cancel := context.WithCancelCause(t.Context())
			result := make(chan error)
			go func() {
				_, err := Start(ctx, cfg)
				result <- err
			}()
			testenv.Eventually(t, program+" runs", 10*time.Second, func() bool {
				begun, _ := filepath.Glob(filepath.Join(cfg.Dir, "data*", "begun"))
				return len(begun) == 1
			})
			cancel(errors.New("the caller gave up"))
			wantError(t, <-result, cfg.Dir, "the caller gave up")
			checkNothingLeft(t, cfg.Dir)
			cfg.Binaries = good
			startServer(t, cfg)
		})
	}
}

func TestStartTemp_KeepsNothing(t *testing.T) {
	t.Parallel()
	cfg := Config{Binaries: binaries(t), Log: logger(t), Settings: map[string]string{"max_connections": "50"}}
	s, err := StartTemp(t.Context(), cfg)
	must(t, err)
	for sql, want := range map[string]string{"SHOW fsync": "off", "SHOW max_connections": "50"} {
		var got string
		must(t, query(t.Context(), s.URL(), sql, &got))
		if got != want {
			t.Errorf("%s is %q, want %q", sql, got, want)
		}
	}
	must(t, s.Stop(t.Context()))
	if exists(s.dir) {
		t.Errorf("%s is left", s.dir)
	}
}

func TestStartTemp_WaitsForChildrenOfKilledServer(t *testing.T) {
	t.Parallel()
	s, err := StartTemp(t.Context(), Config{Binaries: binaries(t), Log: logger(t)})
	must(t, err)
	marks := openTemp(t)
	must(t, os.Chmod(marks, 0o777))
	sql := fmt.Sprintf("COPY (SELECT) TO PROGRAM 'cd %s; touch begun; sleep 0.3; touch ended'", marks)
	copied := make(chan error)
	go func() { copied <- query(context.Background(), s.URL(), sql) }()
	testenv.Eventually(t, "a child of a backend runs", 10*time.Second, func() bool {
		return exists(filepath.Join(marks, "begun"))
	})
	must(t, s.cmd.Process.Kill())
	<-s.Done()
	if !exists(filepath.Join(marks, "ended")) {
		t.Error("Done was closed before the child ended")
	}
	if exists(s.dir) {
		t.Errorf("%s is left", s.dir)
	}
	<-copied
}

func TestStartTemp_KeepsNothingOfFailedStart(t *testing.T) {
	cfg := Config{Binaries: binaries(t), Settings: map[string]string{"max_connections": "many"}}
	t.Setenv("TMPDIR", openTemp(t))
	_, err := StartTemp(t.Context(), cfg)
	wantError(t, err, "many")
	_, err = StartTemp(t.Context(), Config{})
	wantError(t, err, "Binaries")
	if left, _ := os.ReadDir(os.TempDir()); len(left) > 0 {
		t.Errorf("%v is left", left)
	}
}
