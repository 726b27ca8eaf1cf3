//go:build unix

package localpg

import (
	"context"
	"fmt"
	"os"
	"sync/atomic"
	"syscall"
	"time"
)

// Server is a running PostgreSQL server. Its methods are safe for concurrent use, also on a nil Server.
type Server struct {
	cfg   Config
	place place
	pg    *process
	lock  *os.File

	url      string
	logStart int64 // bytes of the log that are from earlier runs
	stopping atomic.Bool
	done     chan struct{}
	exit     error // how postgres ended, with its last words; written before done is closed, as is err
	err      error // exit if nobody had asked for it
}

// options are what StartTemp and the tests vary.
type options struct {
	temp       bool     // throw-away data
	relocateTo []string // where root puts what its account cannot reach in Dir, best first
	watchdog   bool     // on Linux too
}

// Start runs a server on cfg.Dir and returns when its database exists and accepts connections. ctx bounds the start
// only; a server that has started lives until [Server.Stop]. Errors are one line and name the directory; if postgres
// ended, they carry the last lines of its log.
func Start(ctx context.Context, cfg Config) (*Server, error) {
	return start(ctx, cfg, options{relocateTo: relocationRoots})
}

func start(ctx context.Context, cfg Config, o options) (*Server, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	cfg.setDefaults()
	ctx, cancel := context.WithTimeoutCause(ctx, cfg.StartTimeout, fmt.Errorf("not ready after %v", cfg.StartTimeout))
	defer cancel()
	begin := time.Now()
	pl, err := openPlace(ctx, cfg, o)
	if err != nil {
		return nil, fmt.Errorf("localpg: open %s: %w", cfg.Dir, err)
	}
	lock, err := lockFile(ctx, pl.file("lock"))
	if err != nil {
		return nil, fmt.Errorf("localpg: directory %s: %w", cfg.Dir, err)
	}
	s := &Server{cfg: cfg, place: pl, lock: lock, done: make(chan struct{})}
	if err := s.launch(ctx, o); err != nil {
		return nil, fmt.Errorf("localpg: start on %s: %w", cfg.Dir, err)
	}
	cfg.Log.InfoContext(ctx, "PostgreSQL is ready", "version", cfg.Binaries.Version, "pid", s.pg.pid(),
		"data", pl.data(), "took", time.Since(begin).Round(time.Millisecond))
	return s, nil
}

// launch does what needs the lock, and leaves nothing behind when it fails.
func (s *Server) launch(ctx context.Context, o options) error {
	err := s.prepare(ctx)
	if err == nil {
		err = s.run(ctx, o)
	}
	if err != nil {
		s.release()
		return err
	}
	if err := s.awaitReady(ctx); err != nil {
		abort, cancel := context.WithTimeout(context.WithoutCancel(ctx), 3*time.Second)
		defer cancel()
		_ = s.Stop(abort) // the reason for stopping is what the caller needs
		return err
	}
	return nil
}

// prepare makes the directory fit for a new postmaster.
func (s *Server) prepare(ctx context.Context) error {
	if err := s.place.acct.own(s.place.file("lock")); err != nil {
		return err
	}
	if err := s.place.clearLeftovers(ctx); err != nil {
		return err
	}
	if err := s.initData(ctx); err != nil {
		return err
	}
	return s.place.makeSocketDir()
}

// run starts postgres and hands it to a goroutine that cleans up after it.
func (s *Server) run(ctx context.Context, o options) error {
	log, size, err := openLog(s.place)
	if err != nil {
		return err
	}
	s.logStart = size
	defer func() { _ = log.Close() }() // postgres has its own copy
	s.url = s.dsn(s.cfg.Database)
	signal := syscall.SIGINT // an orderly end, so that the next start need not recover
	if s.place.temp {
		signal = syscall.SIGQUIT // nobody will read the data
	}
	cmd := s.cfg.Binaries.command(context.WithoutCancel(ctx), "postgres", s.place, s.arguments()...)
	cmd.Stdout, cmd.Stderr = log, log
	s.pg, err = startProcess(cmd, guard{signal: signal, watchdog: o.watchdog}, s.ended)
	return err
}

// URL returns a data source name of the database, fit for pgx and for psql. It holds no secret.
func (s *Server) URL() string {
	if s == nil {
		return ""
	}
	return s.url
}

// Done returns a channel that is closed when postgres has ended, for whatever reason, and all is cleaned up.
func (s *Server) Done() <-chan struct{} {
	if s == nil {
		return nil
	}
	return s.done
}

// Err returns nil while the server runs and after it was stopped, and why it ended if nobody had asked it to.
func (s *Server) Err() error {
	if s == nil {
		return nil
	}
	select {
	case <-s.done:
		return s.err
	default:
		return nil
	}
}
