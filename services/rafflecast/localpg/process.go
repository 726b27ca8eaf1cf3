package localpg

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/user"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"unicode"

	"github.com/rafflecast/rafflecast/services/rafflecast/internal/filelock"
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

const (
	maxLogSize = 8 << 20 // bytes
	maxQuote   = 2 << 10 // bytes of the log that an error looks at
)

// openLog opens the log for a new child. It waits until no process of an earlier one has it open.
func (s *Server) openLog(ctx context.Context) (*os.File, error) {
	log, err := filelock.Open(ctx, s.file("postgres.log"))
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, fmt.Errorf("PostgreSQL of an earlier run has not ended: %w", context.Cause(ctx))
	}
	if err != nil {
		return nil, err
	}
	if s.logStart, err = log.Seek(0, io.SeekEnd); s.logStart > maxLogSize {
		s.logStart, err = 0, log.Truncate(0)
	}
	return log, err
}

// withLog adds the last lines that postgres or initdb wrote in this run to the error of its end.
func (s *Server) withLog(status error) error {
	path := s.file("postgres.log")
	f, err := os.Open(path) //nolint:gosec // G304: the caller's directory
	if err != nil {
		return status
	}
	defer func() { _ = f.Close() }()
	end, _ := f.Seek(0, io.SeekEnd)
	_, _ = f.Seek(max(s.logStart, end-maxQuote), io.SeekStart)
	text, _ := io.ReadAll(f)
	return fmt.Errorf("%w; the end of %s: %s", status, path, oneLine(string(text)))
}

// oneLine returns the last four lines of text as one, without control characters.
func oneLine(text string) string {
	lines := strings.FieldsFunc(strings.ToValidUTF8(text, "?"), unicode.IsControl)
	return strings.Join(lines[max(0, len(lines)-4):], "; ")
}

// startGuarded starts cmd, which gets the signal if this process ends first, and returns a channel
// that receives the result of cmd.Wait.
func startGuarded(cmd *exec.Cmd, sig syscall.Signal, shellOnly bool) (ended <-chan error, err error) {
	dismiss := func() {}
	if shellOnly || !guardByKernel(cmd, sig) {
		if dismiss, err = guardByShell(cmd, sig); err != nil {
			return nil, err
		}
	}
	started, result := make(chan error), make(chan error, 1)
	go func() {
		// The kernel signals cmd when the thread that started it ends, see prctl(2).
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		started <- cmd.Start()
		err := cmd.Wait()
		dismiss()
		result <- err
	}()
	return result, <-started
}

// shellGuard becomes the command $@, and leaves a shell behind that sends it signal $0 when the
// pipe at descriptor 3 breaks, but not if it has read a line from it.
const shellGuard = `({ read -r line || kill -$0 $$; } <&3 >/dev/null 2>&1 3<&- &); exec "$@" 3<&-`

// guardByShell makes cmd start through shellGuard. Once cmd has ended, dismiss ends the shell.
func guardByShell(cmd *exec.Cmd, sig syscall.Signal) (dismiss func(), err error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	cmd.ExtraFiles = []*os.File{r}
	cmd.Path, cmd.Args = "/bin/sh", append([]string{"sh", "-c", shellGuard, strconv.Itoa(int(sig))}, cmd.Args...)
	return func() {
		_, _ = fmt.Fprintln(w)
		_ = errors.Join(w.Close(), r.Close())
	}, nil
}
