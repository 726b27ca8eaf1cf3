package localpg

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"unicode"
)

const (
	maxLogSize = 8 << 20 // bytes
	maxQuote   = 2 << 10 // bytes of the log that an error looks at
)

// openLog opens the log for a new child. It waits until no process of an earlier one has it open.
func (s *Server) openLog(ctx context.Context) (*os.File, error) {
	log, err := lockFile(ctx, s.file("postgres.log"))
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
	f, err := os.Open(s.file("postgres.log"))
	if err != nil {
		return status
	}
	defer func() { _ = f.Close() }()
	end, _ := f.Seek(0, io.SeekEnd)
	_, _ = f.Seek(max(s.logStart, end-maxQuote), io.SeekStart)
	text, _ := io.ReadAll(f)
	return fmt.Errorf("%w: %s", status, oneLine(string(text)))
}

// oneLine returns the last four lines of text as one, without control characters.
func oneLine(text string) string {
	lines := strings.FieldsFunc(strings.ToValidUTF8(text, "?"), unicode.IsControl)
	return strings.Join(lines[max(0, len(lines)-4):], "; ")
}

// startGuarded starts cmd, which gets SIGINT if this process ends first, and returns a channel that
// receives the result of cmd.Wait.
func startGuarded(cmd *exec.Cmd, shellOnly bool) (ended <-chan error, err error) {
	dismiss := func() {}
	if shellOnly || !interruptWithParent(cmd) {
		if dismiss, err = guardByShell(cmd); err != nil {
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

// shellGuard becomes the command in its arguments, and leaves a shell behind that interrupts the
// command when the pipe at descriptor 3 breaks, but not if it has read a line from it.
const shellGuard = `({ read -r line || kill -s INT $$; } <&3 >/dev/null 2>&1 3<&- &); exec "$@" 3<&-`

// guardByShell makes cmd start through shellGuard. Once cmd has ended, dismiss ends the shell.
func guardByShell(cmd *exec.Cmd) (dismiss func(), err error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	cmd.ExtraFiles = []*os.File{r}
	cmd.Path, cmd.Args = "/bin/sh", append([]string{"sh", "-c", shellGuard, "sh"}, cmd.Args...)
	return func() {
		_, _ = fmt.Fprintln(w)
		_ = errors.Join(w.Close(), r.Close())
	}, nil
}
