package localpg

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/rafflecast/rafflecast/services/rafflecast/internal/filelock"
)

const (
	port         = "5432" // only part of the socket's file name, as each server has its own directory
	maxSocketDir = 89     // bytes; with "/.s.PGSQL.5432" the limit of macOS, 103; that of Linux is 107
	// defaultSharedDir is where root keeps what another user must reach.
	defaultSharedDir = "/var/lib/rafflecast"
)

func (s *Server) file(name string) string { return filepath.Join(s.dir, name) }

// lockDir makes cfg.Dir, and this run the only one on it.
func (s *Server) lockDir(ctx context.Context) (err error) {
	if err := os.MkdirAll(s.cfg.Dir, 0o755); err != nil { //nolint:gosec // G301: root's account must enter it
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, lockTimeout)
	defer cancel()
	s.lock, err = filelock.Open(ctx, s.file("lock"))
	if errors.Is(err, syscall.EWOULDBLOCK) {
		pid, _ := os.ReadFile(s.file("lock"))
		return fmt.Errorf("in use by another run, pid %s", strings.TrimSpace(string(pid)))
	}
	if err != nil {
		return err
	}
	_ = s.lock.Truncate(0)
	_, _ = fmt.Fprintln(s.lock, os.Getpid()) // for the error above only
	return nil
}

// openDir finds the directory of the server's files and the account to run it as.
func (s *Server) openDir(ctx context.Context) (err error) {
	link := filepath.Join(s.cfg.Dir, "relocated")
	if target, err := filepath.EvalSymlinks(link); err == nil {
		s.dir = target
	}
	data := s.file("data")
	if s.acct, err = pickAccount(data); err != nil || !s.acct.isRoot {
		return err
	}
	// A trial, because modes are not the whole truth. The end of ctx must not look like its
	// failure.
	if s.acct.command(context.WithoutCancel(ctx), s.dir, "/bin/sh", "-c", ":").Run() == nil {
		return nil
	}
	if _, err := os.Stat(data); err == nil {
		return fmt.Errorf("%s must run PostgreSQL and cannot reach %s", s.acct.name, data)
	}
	if err := makeShared(s.cfg.sharedDir); err != nil {
		return err
	}
	dir, err := os.MkdirTemp(s.cfg.sharedDir, "postgres-*")
	if err != nil {
		return err
	}
	s.dir = dir
	_ = os.Remove(link) // its target has been removed
	s.cfg.Log.InfoContext(ctx, "the account of PostgreSQL cannot reach the directory: its files are kept elsewhere",
		"account", s.acct.name, "dir", s.cfg.Dir, "files", dir)
	if err := os.Symlink(dir, link); err != nil {
		return err
	}
	return os.Chmod(dir, 0o755) //nolint:gosec // G302: the account must enter it
}

// makeShared makes a directory that every user may enter, whatever the umask. It does not change
// one that exists.
func makeShared(dir string) error {
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // G301: that is its purpose
		return err
	}
	return os.Chmod(dir, 0o755) //nolint:gosec // G302: that is its purpose
}

// makeSocketDir makes <dir>/run, or a directory under /tmp if a socket cannot have that path or a
// data source name cannot: there a comma separates hosts.
func (s *Server) makeSocketDir() (err error) {
	s.socket = s.file("run")
	if len(s.socket) > maxSocketDir || strings.Contains(s.socket, ",") {
		if s.socket, err = os.MkdirTemp("/tmp", "rafflecast-socket-*"); err != nil {
			return err
		}
	}
	return s.makePrivate(s.socket)
}

// makePrivate makes an empty directory for the account alone, in place of what a killed run left.
func (s *Server) makePrivate(dir string) error {
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o700); err != nil || !s.acct.isRoot {
		return err
	}
	return os.Lchown(dir, int(s.acct.uid), int(s.acct.gid))
}

// release removes what a run leaves, and gives the directory back.
func (s *Server) release() {
	_ = os.RemoveAll(s.socket)
	if s.cfg.temp {
		ctx, cancel := context.WithTimeout(context.Background(), quitTimeout)
		defer cancel()
		if log, err := s.openLog(ctx); err == nil { // children of a killed postmaster have ended
			_ = log.Close()
		}
		_ = errors.Join(os.RemoveAll(s.dir), os.RemoveAll(s.cfg.Dir))
	}
	_ = s.lock.Close()
}
