//go:build unix

package localpg

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
)

const tempPrefix = "rafflecast-pg-"

// StartTemp runs a server on a new directory under os.TempDir, which is removed when it ends. It never waits for a disk
// (fsync, synchronous_commit and full_page_writes are off) and takes 200 connections, unless cfg.Settings says
// otherwise. cfg.Dir must be empty. When this process is killed the server ends as that of Start does; its directory
// then remains until the next StartTemp of the same user.
func StartTemp(ctx context.Context, cfg Config) (*Server, error) {
	return startTemp(ctx, cfg, options{relocateTo: relocationRoots})
}

func startTemp(ctx context.Context, cfg Config, o options) (*Server, error) {
	if cfg.Dir != "" {
		return nil, fmt.Errorf("localpg: bad configuration: StartTemp makes its own directory, and Dir is %s", cfg.Dir)
	}
	sweep(ctx, os.TempDir())
	dir, err := os.MkdirTemp("", tempPrefix+"*")
	if err != nil {
		return nil, fmt.Errorf("localpg: make a temporary directory: %w", err)
	}
	if err := os.Chmod(dir, 0o711); err != nil { //nolint:gosec // G302: for root's stand-in; what matters inside has mode 0700
		return nil, fmt.Errorf("localpg: temporary directory: %w", err)
	}
	cfg.Dir, o.temp = dir, true
	s, err := start(ctx, cfg, o)
	if err != nil {
		_ = os.RemoveAll(dir)
	}
	return s, err
}

// sweep removes temporary directories whose owner was killed. One that has data and is not locked has no owner: data
// appear only under the lock. It is a courtesy, so errors are of no interest.
func sweep(ctx context.Context, root string) {
	dirs, _ := filepath.Glob(filepath.Join(root, tempPrefix+"*"))
	for _, dir := range dirs {
		_ = sweepOne(ctx, dir)
	}
}

func sweepOne(ctx context.Context, dir string) error {
	p := place{dir: dir, log: slog.New(slog.DiscardHandler)}
	info, err := os.Lstat(dir)
	if err != nil || !info.IsDir() {
		return err
	}
	if uid, _, err := ownerOf(dir); err != nil || int(uid) != os.Geteuid() {
		return err
	}
	if _, err := os.Lstat(p.data()); err != nil {
		return err
	}
	lock, err := os.Open(p.file("lock"))
	if err != nil {
		return err
	}
	defer func() { _ = lock.Close() }()
	if err := tryLock(lock); err != nil {
		return err
	}
	if p.name, err = nameOf(dir); err != nil {
		return err
	}
	if err := p.stopOrphans(ctx); err != nil {
		return err
	}
	p.removeSocketDir()
	return os.RemoveAll(dir)
}
