//go:build unix

package localpg

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rafflecast/rafflecast/services/test/testenv"
)

func TestStartKeepsData(t *testing.T) {
	t.Parallel()
	cfg := setupEmpty(t)
	begin := time.Now()
	s, err := start(t.Context(), cfg, options{})
	must(t, err)
	cold := time.Since(begin)
	must(t, query(t.Context(), s.URL(), "CREATE TABLE t AS SELECT 42 AS n"))
	must(t, s.Stop(t.Context()))
	must(t, s.Err())
	begin = time.Now()
	s, err = start(t.Context(), cfg, options{})
	must(t, err)
	warm := time.Since(begin)
	var n int
	must(t, query(t.Context(), s.URL(), "SELECT n FROM t", &n))
	if n != 42 {
		t.Errorf("n is %d", n)
	}
	begin = time.Now()
	must(t, s.Stop(t.Context()))
	t.Logf("cold start %v, warm start %v, stop %v", cold, warm, time.Since(begin))
}

func TestServerIsPrivate(t *testing.T) {
	t.Parallel()
	cfg := setup(t)
	cfg.Settings = map[string]string{"work_mem": "7MB"}
	s := begin(t, cfg, options{})
	info, err := os.Stat(s.place.socket)
	must(t, err)
	if info.Mode().Perm() != 0o700 {
		t.Errorf("socket directory has mode %v", info.Mode())
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

func TestURLFitsPsql(t *testing.T) {
	t.Parallel()
	psql := testenv.NeedProgram(t, "psql")
	cfg := setupEmpty(t)
	cfg.Dir = filepath.Join(cfg.Dir, `a b+c%"é'`)
	s := begin(t, cfg, options{})
	out, err := exec.CommandContext(t.Context(), psql, "-XAtc", "SELECT 6*7", s.URL()).CombinedOutput()
	if err != nil || strings.TrimSpace(string(out)) != "42" {
		t.Errorf("psql %q: %s, %v", s.URL(), out, err)
	}
	must(t, query(t.Context(), s.URL(), "SELECT 1"))
}

func TestSocketMovesWhenPathIsUnfit(t *testing.T) {
	t.Parallel()
	for name, sub := range map[string]string{"long": strings.Repeat("x", 100), "comma": "a,b"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := setupEmpty(t)
			cfg.Dir = filepath.Join(cfg.Dir, sub)
			s, err := start(t.Context(), cfg, options{})
			must(t, err)
			if strings.HasPrefix(s.place.socket, cfg.Dir) {
				t.Errorf("socket is in %s", s.place.socket)
			}
			must(t, s.Stop(t.Context()))
			if _, err := os.Stat(s.place.socket); err == nil {
				t.Errorf("%s remains", s.place.socket)
			}
		})
	}
}

func TestStopAnyTime(t *testing.T) {
	t.Parallel()
	var none *Server
	must(t, none.Stop(t.Context()))
	must(t, none.Err())
	must(t, new(Server).Stop(t.Context()))
	cfg := setup(t)
	s := begin(t, cfg, options{})
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

func TestStopCutsOffWhenContextEnds(t *testing.T) {
	t.Parallel()
	cfg := setup(t)
	s := begin(t, cfg, options{})
	must(t, query(t.Context(), s.URL(), "CREATE TABLE t AS SELECT 42 AS n"))
	must(t, s.pgStop())
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("no patience"))
	wantError(t, s.Stop(ctx), cfg.Dir, "no patience")
	must(t, s.Err())
	s = begin(t, cfg, options{})
	must(t, query(t.Context(), s.URL(), "SELECT n FROM t"))
}

// pgStop makes the postmaster deaf to all but SIGKILL.
func (s *Server) pgStop() error { return syscall.Kill(s.pg.pid(), syscall.SIGSTOP) }

func TestDoneWhenPostgresEndsByItself(t *testing.T) {
	t.Parallel()
	for _, sig := range []syscall.Signal{syscall.SIGKILL, syscall.SIGTERM} {
		t.Run(sig.String(), func(t *testing.T) {
			t.Parallel()
			cfg := setup(t)
			s := begin(t, cfg, options{})
			must(t, s.Err())
			must(t, syscall.Kill(s.pg.pid(), sig))
			<-s.Done()
			wantError(t, s.Err(), "ended by itself", cfg.Dir)
			must(t, s.Stop(t.Context()))
			wantError(t, s.Err(), "ended by itself")
			begin(t, cfg, options{})
		})
	}
}

func TestSecondRunIsRefused(t *testing.T) {
	t.Parallel()
	cfg := setup(t)
	s := begin(t, cfg, options{})
	_, err := start(t.Context(), cfg, options{})
	wantError(t, err, cfg.Dir, "in use by another run (pid")
	must(t, query(t.Context(), s.URL(), "SELECT 1"))
}

func TestBadConfiguration(t *testing.T) {
	t.Parallel()
	_, err := Start(t.Context(), Config{
		Database: `x"; DROP`, StartTimeout: -1,
		Settings: map[string]string{"port": "1", "no good": ""},
	})
	wantError(t, err, "Binaries", "Dir", "Database", "StartTimeout", `"port"`, `"no good"`)
	_, err = StartTemp(t.Context(), Config{Dir: "/somewhere"})
	wantError(t, err, "/somewhere")
}

func TestFailedStartQuotesTheLog(t *testing.T) {
	t.Parallel()
	cfg := setup(t)
	cfg.Settings = map[string]string{"max_connections": "many"}
	_, err := start(t.Context(), cfg, options{})
	wantError(t, err, cfg.Dir, `invalid value for parameter "max_connections": "many"`)
	cfg.Settings = nil
	begin(t, cfg, options{})
}

func TestStartTimeout(t *testing.T) {
	t.Parallel()
	cfg := setupEmpty(t)
	cfg.StartTimeout = time.Millisecond
	_, err := start(t.Context(), cfg, options{})
	wantError(t, err, cfg.Dir, "not ready after 1ms")
}
