package localpg

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// openData makes the data directory with initdb, unless there is one. What is wrong with that one,
// such as another version or owner, postgres says itself.
func (s *Server) openData(ctx context.Context, log *os.File) error {
	data, unfinished := s.file("data"), s.file("data.new")
	err := syscall.Rmdir(data) // an empty one is as good as none
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return removeStalePIDFile(data)
	}
	if err := s.makePrivate(unfinished); err != nil {
		return err
	}
	if err := s.initdb(ctx, log, unfinished); err != nil {
		return err
	}
	return os.Rename(unfinished, data)
}

// initdb fills dir. Locale C exists on every system, and sorts and compares faster than any other.
func (s *Server) initdb(ctx context.Context, log *os.File, dir string) error {
	args := []string{
		"-D", dir, "-U", database, "--encoding=UTF8", "--locale=C",
		"--auth-local=trust", "--auth-host=reject", "--no-instructions",
	}
	if s.cfg.temp {
		args = append(args, "--no-sync")
	}
	ended, err := startGuarded(s.command(ctx, log, "initdb", args...), syscall.SIGKILL, s.cfg.shellOnly)
	if err != nil {
		return err
	}
	if err := <-ended; err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return fmt.Errorf("initdb: %w", s.withLog(err))
	}
	return nil
}

// removeStalePIDFile removes a postmaster.pid that makes postgres refuse to start though no server
// runs: one that is empty, or whose pid now belongs to another program (after a reboot) or to a
// zombie. Without /proc it removes none, and the error of postgres says what to do.
func removeStalePIDFile(data string) error {
	path := filepath.Join(data, "postmaster.pid")
	text, err := os.ReadFile(path) //nolint:gosec // G304: the caller's directory
	if err != nil {
		return nil //nolint:nilerr // there is none, or postgres will say what is wrong with it
	}
	first, _, _ := strings.Cut(string(text), "\n")
	if pid, err := strconv.Atoi(first); err == nil {
		command, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid)) // empty for a zombie
		program, _, _ := strings.Cut(string(command), "\x00")
		if err != nil || strings.HasPrefix(filepath.Base(program), "postgres") {
			return nil //nolint:nilerr // no such process, which postgres handles itself
		}
	}
	return os.Remove(path)
}

// database is the name of the database and of its superuser.
const database = "rafflecast"

// dsn returns a URL, which both pgx and libpq take. A space must be %20: libpq does not read + as
// one.
func (s *Server) dsn(database string) string {
	host := strings.ReplaceAll(url.QueryEscape(s.socket), "+", "%20")
	return fmt.Sprintf("postgres:///%s?host=%s&port=%s&user=rafflecast&sslmode=disable", database, host, port)
}

// awaitReady returns when the database accepts connections. It retries while nobody answers and
// while postgres says that it is starting; a start takes about 100 ms, hence the short pauses.
func (s *Server) awaitReady(ctx context.Context) error {
	for delay := 2 * time.Millisecond; ; delay = min(delay*5/4, 50*time.Millisecond) {
		err := s.ensureDatabase(ctx)
		pg, answered := errors.AsType[*pgconn.PgError](err)
		if err == nil || answered && pg.Code != "57P03" { // cannot_connect_now
			return err
		}
		select {
		case <-s.done:
			return s.err
		case <-ctx.Done():
			return fmt.Errorf("%w; last answer: %s", context.Cause(ctx), oneLine(err.Error()))
		case <-time.After(delay):
		}
	}
}

// ensureDatabase connects once, and makes the database if it does not exist.
func (s *Server) ensureDatabase(ctx context.Context) error {
	conn, err := pgconn.Connect(ctx, s.URL())
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok && pg.Code == "3D000" { // invalid_catalog_name
		if conn, err = pgconn.Connect(ctx, s.dsn("postgres")); err == nil {
			err = conn.Exec(ctx, "CREATE DATABASE "+database).Close()
		}
	}
	if conn != nil {
		_ = conn.Close(ctx)
	}
	return err
}
