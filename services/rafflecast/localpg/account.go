//go:build unix

package localpg

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"syscall"
	"time"
)

// account is the operating system user that the server runs as.
type account struct {
	uid, gid uint32
	drop     bool // this process is root and becomes that user for the server
}

// rootStandIns are the users that root runs PostgreSQL as, best first: Debian's name, macOS's, and one that is always
// there.
var rootStandIns = []string{"postgres", "_postgres", "nobody"}

// pickAccount returns this process's own user, and for root the owner of the data directory or a stand-in.
func pickAccount(data string) (account, error) {
	if uid := os.Geteuid(); uid != 0 {
		return account{uid: uint32(uid), gid: uint32(os.Getegid())}, nil
	}
	if uid, gid, err := ownerOf(data); err == nil && uid != 0 {
		return account{uid: uid, gid: gid, drop: true}, nil
	}
	for _, name := range rootStandIns {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
		gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
		if errors.Join(err1, err2) == nil && uid != 0 {
			return account{uid: uint32(uid), gid: uint32(gid), drop: true}, nil
		}
	}
	return account{}, errors.New("PostgreSQL refuses to run as root, and there is no user postgres or nobody to run it as")
}

// String is the user's name, or its number if it has none.
func (a account) String() string {
	id := strconv.FormatUint(uint64(a.uid), 10)
	if u, err := user.LookupId(id); err == nil {
		return u.Username
	}
	return "uid " + id
}

// attributes start a child as this account, in a process group of its own, which the terminal's Ctrl-C does not reach.
func (a account) attributes() *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Setpgid: true}
	if a.drop {
		attr.Credential = &syscall.Credential{Uid: a.uid, Gid: a.gid}
	}
	return attr
}

// own gives a file or directory that this process made to the account.
func (a account) own(path string) error {
	if !a.drop {
		return nil
	}
	return os.Lchown(path, int(a.uid), int(a.gid))
}

// reaches reports whether the account can enter dir. It asks the kernel by trying, as mode bits are not all there is
// (access lists, network file systems). The caller's context has no say, for its end would read as "no".
func (a account) reaches(dir string) bool {
	if !a.drop {
		return true
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second) // in case dir's server is away
	defer cancel()
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", `cd -- "$1"`, "sh", dir) //nolint:gosec // G204: dir is an argument, not code
	cmd.Dir, cmd.SysProcAttr = "/", a.attributes()
	return cmd.Run() == nil
}

// checkOwner returns an error unless the account owns the data directory, which PostgreSQL insists on.
func (a account) checkOwner(data string) error {
	uid, _, err := ownerOf(data)
	if err != nil || uid == a.uid {
		return err
	}
	return fmt.Errorf("the data in %s belong to %v, and this process would run PostgreSQL as %v: "+
		"change the owner, or remove the directory to start afresh", data, account{uid: uid}, a)
}

func ownerOf(path string) (uid, gid uint32, err error) {
	info, err := os.Stat(path)
	if err != nil {
		return 0, 0, err
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, 0, fmt.Errorf("no owner of %s", path)
	}
	return st.Uid, st.Gid, nil
}
