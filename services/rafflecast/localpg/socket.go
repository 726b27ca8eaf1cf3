//go:build unix

package localpg

import (
	"os"
	"path/filepath"
	"strings"
)

// maxSocketPath is the longest path of a unix socket in bytes: 103 on macOS and the BSDs, 107 on Linux.
const maxSocketPath = 103

const socketPrefix = "rafflecast-sock-"

// makeSocketDir makes <dir>/run, private to the account. If that path is too long for a socket, or has a comma, which
// separates hosts in a data source name, <dir>/run becomes a link to a directory under the system's temporary one.
func (p *place) makeSocketDir() error {
	p.removeSocketDir()
	run := p.file("run")
	p.socket = run
	if fitsSocket(run) {
		if err := os.Mkdir(run, 0o700); err != nil {
			return err
		}
		return p.acct.own(run)
	}
	temp, err := os.MkdirTemp(p.tempRoot(), socketPrefix+"*")
	if err != nil {
		return err
	}
	p.socket = temp
	if err := os.Symlink(temp, run); err != nil {
		_ = os.Remove(temp)
		return err
	}
	return p.acct.own(temp)
}

// tempRoot is os.TempDir, or /tmp if a socket there cannot be reached.
func (p place) tempRoot() string {
	root := os.TempDir()
	if fitsSocket(filepath.Join(root, socketPrefix+"1234567890")) && p.acct.reaches(root) {
		return root
	}
	return "/tmp"
}

func fitsSocket(dir string) bool {
	return len(filepath.Join(dir, ".s.PGSQL."+port)) <= maxSocketPath && !strings.Contains(dir, ",")
}

// removeSocketDir removes the directory of this run or of one that was killed, and what it is a link to.
func (p place) removeSocketDir() {
	run := p.file("run")
	if target, err := os.Readlink(run); err == nil && strings.HasPrefix(filepath.Base(target), socketPrefix) {
		_ = os.RemoveAll(target)
	}
	_ = os.RemoveAll(run)
}
