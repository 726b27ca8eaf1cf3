//go:build unix

package localpg

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"
)

// place is the directory that a server's files are in, as doc.go lists them.
type place struct {
	dir    string // absolute, without symbolic links
	name   string // what the server is called among the machine's processes
	socket string // directory of the socket, once it is made
	acct   account
	temp   bool
	log    *slog.Logger
}

// relocationRoots are where root puts files that must be reachable by another user. The temporary directory is for
// machines whose system directories are read-only.
var relocationRoots = []string{"/var/lib/rafflecast", os.TempDir()}

const relocated = "relocated"

func (p place) file(name string) string { return filepath.Join(p.dir, name) }
func (p place) data() string            { return p.file("data") }

// openPlace makes cfg.Dir if need be and finds out where the server's files are and whose they are.
func openPlace(ctx context.Context, cfg Config, o options) (place, error) {
	if err := os.MkdirAll(cfg.Dir, 0o755); err != nil { //nolint:gosec // G301: root's stand-in must enter it
		return place{}, err
	}
	p := place{dir: cfg.Dir, temp: o.temp, log: cfg.Log}
	if target, err := os.Readlink(p.file(relocated)); err == nil {
		p.dir = target
	}
	var err error
	if p.acct, err = pickAccount(p.data()); err != nil {
		return place{}, err
	}
	if !p.acct.reaches(p.dir) {
		if err := p.relocate(ctx, cfg.Dir, o.relocateTo); err != nil {
			return place{}, err
		}
	}
	if p.dir, err = filepath.EvalSymlinks(p.dir); err != nil {
		return place{}, err
	}
	// An empty directory is as good as none, whoever made it.
	if err := syscall.Rmdir(p.data()); !errors.Is(err, fs.ErrNotExist) && err != nil {
		if err := p.acct.checkOwner(p.data()); err != nil {
			return place{}, err
		}
	}
	p.name, err = nameOf(p.dir)
	return p, err
}

// nameOf derives a server's name from the directory's inode, so that it survives a renamed parent, and a copy of the
// directory is another one's.
func nameOf(dir string) (string, error) {
	info, err := os.Stat(dir)
	if err != nil {
		return "", err
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return "", fmt.Errorf("no inode of %s", dir)
	}
	return fmt.Sprintf("rafflecast-%.8x", sha256.Sum256(fmt.Appendf(nil, "%d %d", st.Dev, st.Ino))), nil
}

// relocate points p at a new directory that the account can reach, and leaves a link to it in dir. Data that were
// reachable once are never left behind in favour of an empty database.
func (p *place) relocate(ctx context.Context, dir string, roots []string) error {
	if _, err := os.Stat(filepath.Join(dir, "data")); err == nil {
		return fmt.Errorf("user %v must run PostgreSQL and can no longer reach the data there", p.acct)
	}
	link := filepath.Join(dir, relocated)
	if _, err := os.Stat(link); err == nil {
		return fmt.Errorf("user %v must run PostgreSQL and can no longer reach %s", p.acct, p.dir)
	} else if err := os.Remove(link); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err // of a link whose target has been removed, and with it the data
	}
	var failed error
	for _, root := range roots {
		home, err := p.acct.makeHome(root)
		if err != nil {
			failed = errors.Join(failed, err)
			continue
		}
		_ = os.WriteFile(filepath.Join(home, "origin"), []byte(dir+"\n"), 0o600) // for whoever wonders whose it is
		if err := os.Symlink(home, link); err != nil {
			_ = os.RemoveAll(home)
			return err
		}
		p.log.InfoContext(ctx, "PostgreSQL's files are kept elsewhere, as its user cannot reach the directory",
			"user", p.acct.String(), "dir", dir, "at", home)
		p.dir = home
		return nil
	}
	return fmt.Errorf("user %v must run PostgreSQL and cannot reach it, nor make a place elsewhere: %s",
		p.acct, oneLine(fmt.Sprint(failed)))
}

// makeHome makes a new directory under root, and root itself, that the account can enter.
func (a account) makeHome(root string) (string, error) {
	if err := makeShared(root); err != nil {
		return "", err
	}
	home, err := os.MkdirTemp(root, "rafflecast-data-*")
	if err != nil {
		return "", err
	}
	//nolint:gosec // G302: the account must enter it; what matters inside has mode 0700
	if err = os.Chmod(home, 0o755); err == nil && !a.reaches(home) {
		err = fmt.Errorf("%v cannot reach %s", a, home)
	}
	if err != nil {
		_ = os.RemoveAll(home)
	}
	return home, err
}

// makeShared makes a directory that others may enter, whatever the umask. One that exists it leaves alone.
func makeShared(dir string) error {
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // G301: shared is what it is for
		return err
	}
	return os.Chmod(dir, 0o755) //nolint:gosec // G302: the same
}
