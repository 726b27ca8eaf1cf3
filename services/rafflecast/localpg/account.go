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
)

// account is the user of the operating system that runs the server.
type account struct {
	name     string // for messages, such as "user postgres" or "uid 1000"
	uid, gid uint32
	isRoot   bool // this process is root, and its children become the account
}

// pickAccount returns the user of this process or, for root, the owner of the data directory, else
// postgres (_postgres on macOS), else nobody.
func pickAccount(data string) (account, error) {
	uid, gid, isRoot := uint32(os.Geteuid()), uint32(os.Getegid()), os.Geteuid() == 0
	if info, err := os.Stat(data); isRoot && err == nil {
		if st, ok := info.Sys().(*syscall.Stat_t); ok {
			uid, gid = st.Uid, st.Gid
		}
	}
	if uid != 0 {
		return account{fmt.Sprintf("uid %d", uid), uid, gid, isRoot}, nil
	}
	for _, name := range []string{"postgres", "_postgres", "nobody"} {
		if u, err := user.Lookup(name); err == nil {
			uid, uidErr := strconv.ParseUint(u.Uid, 10, 32)
			gid, gidErr := strconv.ParseUint(u.Gid, 10, 32)
			return account{"user " + name, uint32(uid), uint32(gid), true}, errors.Join(uidErr, gidErr)
		}
	}
	return account{}, errors.New("PostgreSQL refuses to run as root, and there is no user postgres or nobody")
}

// command returns a command that runs as the account in a process group of its own. PGDATA, PGPORT
// and the like would change what programs of PostgreSQL do, so little of the environment is passed
// on. LC_ALL=C makes their messages English.
func (a account) command(ctx context.Context, dir, program string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, program, args...) //nolint:gosec // G204: a shell, or a program of Binaries
	cmd.Dir = dir
	cmd.Env = []string{"LC_ALL=C", "PATH=" + os.Getenv("PATH"), "LD_LIBRARY_PATH=" + os.Getenv("LD_LIBRARY_PATH")}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if a.isRoot {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: a.uid, Gid: a.gid}
	}
	return cmd
}

// reaches reports whether the account can enter dir. It tries, because mode bits are not the whole
// truth (access lists, network file systems).
func (a account) reaches(dir string) bool {
	return !a.isRoot || a.command(context.Background(), dir, "/bin/sh", "-c", ":").Run() == nil
}
