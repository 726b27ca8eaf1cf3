//go:build unix

package localpg

import (
	"context"
	"fmt"
	"os/exec"
	"strconv"
	"syscall"
)

// watchScript reads a pid, then waits for a second line, which comes when that process has ended. If the pipe breaks
// before, its writer is dead and the process is signalled.
const watchScript = `read -r pid && { read -r bye || kill -s "$1" "$pid"; }`

// startWatched starts cmd together with a shell that signals it when this process is gone. The shell comes first, so
// that what a kill in between leaves behind is at worst a shell that ends by itself, or a server that the next Start
// stops.
func (g guard) startWatched(cmd *exec.Cmd) (release func(), err error) {
	signal := strconv.Itoa(int(g.signal))
	dog := exec.CommandContext(context.Background(), "/bin/sh", "-c", watchScript, "watchdog", signal) //nolint:gosec // G204: a number
	dog.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}                                              // out of Ctrl-C's reach
	dog.Dir = "/"
	pipe, err := dog.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("watchdog: %w", err)
	}
	if err := dog.Start(); err != nil {
		return nil, fmt.Errorf("watchdog: %w", err)
	}
	release = func() {
		_, _ = pipe.Write([]byte("bye\n"))
		_ = pipe.Close()
		_ = dog.Wait()
	}
	if err := cmd.Start(); err != nil {
		_ = pipe.Close()
		_ = dog.Wait()
		return nil, err
	}
	if _, err := fmt.Fprintln(pipe, cmd.Process.Pid); err != nil {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		release()
		return nil, fmt.Errorf("watchdog: %w", err)
	}
	return release, nil
}
