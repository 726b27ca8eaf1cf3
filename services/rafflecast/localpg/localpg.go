package localpg

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	startTimeout = time.Minute            // bounds a start, recovery after a crash included
	lockTimeout  = 500 * time.Millisecond // a process that was just killed holds its locks a little longer
	quitTimeout  = 3 * time.Second        // between SIGQUIT and SIGKILL
)

// Config configures a server. Binaries and Dir are required, except that StartTemp makes Dir
// itself.
type Config struct {
	Binaries Binaries          // from Find
	Dir      string            // directory of everything that the server writes; made if missing
	Settings map[string]string // further settings of postgresql.conf; those of the socket and the log have no effect
	Log      *slog.Logger      // default: nothing is logged

	temp      bool   // the data are thrown away
	shellOnly bool   // in tests on Linux: guard the server as on other systems
	sharedDir string // in tests: instead of /var/lib/rafflecast
}

// Server is a running PostgreSQL server. Its methods are safe for concurrent use.
type Server struct {
	cfg      Config
	dir      string // of the server's files: cfg.Dir, or the target of its link "relocated"
	acct     account
	lock     *os.File // on cfg.Dir
	socket   string   // the socket's directory
	logStart int64    // size in bytes of what earlier runs wrote to the log
	cmd      *exec.Cmd
	stopping atomic.Bool
	done     chan struct{}
	err      error // why postgres ended, if not by Stop; set before done is closed
}

// Start runs a server on cfg.Dir and returns when its database accepts connections. ctx and a limit
// of one minute bound the start only; a started server runs until Stop. An error is one line, names
// the directory, and ends with the last lines of the log if postgres or initdb failed.
func Start(ctx context.Context, cfg Config) (*Server, error) {
	dir, err := filepath.Abs(cfg.Dir)
	if cfg.Binaries.Dir == "" || cfg.Dir == "" || err != nil {
		return nil, errors.Join(errors.New("localpg.Config needs Binaries and Dir"), err)
	}
	cfg.Dir, cfg.Log = dir, cmp.Or(cfg.Log, slog.New(slog.DiscardHandler))
	cfg.sharedDir = cmp.Or(cfg.sharedDir, defaultSharedDir)
	ctx, cancel := context.WithTimeoutCause(ctx, startTimeout, fmt.Errorf("not ready after %v", startTimeout))
	defer cancel()
	begin := time.Now()
	s := &Server{cfg: cfg, dir: dir, done: make(chan struct{})}
	if err := s.start(ctx); err != nil {
		return nil, fmt.Errorf("start PostgreSQL in %s: %w", dir, err)
	}
	cfg.Log.InfoContext(ctx, "PostgreSQL is ready", "version", cfg.Binaries.Version, "pid", s.cmd.Process.Pid,
		"data", s.file("data"), "took", time.Since(begin).Round(time.Millisecond))
	return s, nil
}

// StartTemp runs a server on a new directory under os.TempDir, which is removed when the server
// ends; cfg.Dir is ignored. It never waits for the disk (fsync, synchronous_commit and
// full_page_writes are off) and takes 200 connections, unless cfg.Settings says otherwise. If this
// process is killed, the server ends but its directory stays.
func StartTemp(ctx context.Context, cfg Config) (*Server, error) {
	dir, err := os.MkdirTemp("", "rafflecast-pg-*")
	if err == nil {
		err = os.Chmod(dir, 0o711) //nolint:gosec // G302: root's account must enter it; the data have mode 0700
	}
	if err != nil {
		return nil, fmt.Errorf("make a temporary directory: %w", err)
	}
	cfg.Dir, cfg.temp = dir, true
	s, err := Start(ctx, cfg)
	if err != nil {
		_ = os.RemoveAll(dir)
	}
	return s, err
}

// start leaves nothing running and nothing locked if it fails.
func (s *Server) start(ctx context.Context) error {
	if err := s.lockDir(ctx); err != nil {
		return err
	}
	err := s.launch(ctx)
	if err != nil {
		s.release()
	} else if err = s.awaitReady(ctx); err != nil {
		stopCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), quitTimeout)
		defer cancel()
		_ = s.Stop(stopCtx) // the caller needs the reason for stopping
	}
	return err
}

// launch makes the data directory if there is none, and starts postgres.
func (s *Server) launch(ctx context.Context) error {
	if err := s.openDir(ctx); err != nil {
		return err
	}
	log, err := s.openLog(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }() // initdb and postgres have copies, and so the lock
	if err := s.openData(ctx, log); err != nil {
		return err
	}
	if err := s.makeSocketDir(); err != nil {
		return err
	}
	s.cmd = s.command(context.WithoutCancel(ctx), log, "postgres", s.arguments()...)
	ended, err := startGuarded(s.cmd, syscall.SIGINT, s.cfg.shellOnly)
	if err != nil {
		return err
	}
	go func() {
		err := <-ended
		if !s.stopping.Load() {
			s.err = fmt.Errorf("postgres ended by itself: %w", s.withLog(cmp.Or(err, errors.New("exit status 0"))))
		}
		s.release()
		close(s.done)
	}()
	return nil
}

// command returns a program of the server, whose output goes to log. The end of ctx kills it.
func (s *Server) command(ctx context.Context, log *os.File, name string, args ...string) *exec.Cmd {
	cmd := s.acct.command(ctx, "/", filepath.Join(s.cfg.Binaries.Dir, name), args...)
	cmd.Stdout, cmd.Stderr = log, log
	return cmd
}

// arguments returns those of the postgres command: the data directory and every setting.
func (s *Server) arguments() []string {
	settings := map[string]string{"timezone": "UTC", "log_timezone": "UTC", "log_checkpoints": "off"}
	if s.cfg.temp {
		maps.Copy(settings, map[string]string{
			"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "max_connections": "200",
		})
	}
	maps.Copy(settings, s.cfg.Settings)
	maps.Copy(settings, map[string]string{
		"listen_addresses": "", "port": port, "logging_collector": "off", "unix_socket_permissions": "0700",
		"unix_socket_directories": `"` + strings.ReplaceAll(s.socket, `"`, `""`) + `"`,
	})
	args := []string{"-D", s.file("data")}
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		args = append(args, "-c", name+"="+settings[name])
	}
	return args
}

// URL returns a data source name of the database for pgx and psql. It holds no secret.
func (s *Server) URL() string { return s.dsn(database) }

// PID returns the id of the server's first process, whose children are all others.
func (s *Server) PID() int { return s.cmd.Process.Pid }

// Done returns a channel that is closed when postgres has ended for any reason.
func (s *Server) Done() <-chan struct{} { return s.done }

// Err returns why postgres ended by itself. It is nil while postgres runs and after Stop.
func (s *Server) Err() error {
	select {
	case <-s.done:
		return s.err
	default:
		return nil
	}
}

// Stop ends the server and waits for its end. Connections are dropped and the data are written
// (PostgreSQL's fast shutdown). If ctx ends first, postgres is made to quit at once, after 3 s by
// SIGKILL, and Stop returns an error; the next start recovers committed data. Stop may be repeated.
func (s *Server) Stop(ctx context.Context) error {
	s.stopping.Store(true)
	_ = s.cmd.Process.Signal(syscall.SIGINT) // fails if postgres has ended
	select {
	case <-s.done:
		return nil
	case <-ctx.Done():
	}
	_ = s.cmd.Process.Signal(syscall.SIGQUIT)
	kill := time.AfterFunc(quitTimeout, func() { _ = s.cmd.Process.Kill() })
	defer kill.Stop()
	<-s.done
	return fmt.Errorf("PostgreSQL in %s had to quit before its shutdown was complete: %w",
		s.cfg.Dir, context.Cause(ctx))
}
