package bench

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// process is a server that is controlled through its standard input.
type process struct {
	cmd   *exec.Cmd
	in    io.WriteCloser
	out   *bufio.Reader
	ready int // its port
}

// start runs this program again, on one core, with these arguments.
func start(ctx context.Context, core int, args ...string) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	cmd := exec.CommandContext(ctx, self, args...) //nolint:gosec // this program
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := startOn(cmd, core); err != nil {
		return nil, fmt.Errorf("start %v: %w", args, err)
	}
	p := &process{cmd: cmd, in: in, out: bufio.NewReader(out)}
	line, err := p.out.ReadString('\n')
	if err == nil {
		p.ready, err = strconv.Atoi(strings.TrimPrefix(strings.TrimSpace(line), "ready "))
	}
	if err != nil {
		p.stop()
		return nil, fmt.Errorf("start %v: %w", args, err)
	}
	return p, nil
}

// startOn starts a command on a core: a child has the affinity of the thread that
// makes it.
func startOn(cmd *exec.Cmd, core int) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var before, one unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		return err
	}
	one.Set(core)
	if err := unix.SchedSetaffinity(0, &one); err != nil {
		return err
	}
	defer func() { _ = unix.SchedSetaffinity(0, &before) }()
	return cmd.Start()
}

// PinClient has this process, started anew, run on the client's core.
func PinClient() error {
	const done = "BENCH_PINNED"
	if os.Getenv(done) != "" {
		return nil
	}
	runtime.LockOSThread()
	var one unix.CPUSet
	one.Set(clientCore)
	if err := unix.SchedSetaffinity(0, &one); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	return unix.Exec(self, os.Args, append(os.Environ(), done+"=1"))
}

// stop ends the process and waits for it.
func (p *process) stop() {
	_ = p.in.Close()
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
}

func (p *process) tell(line string) error {
	_, err := io.WriteString(p.in, line+"\n")
	return err
}

// ask returns the number that the process answers.
func (p *process) ask(what string) (float64, error) {
	if err := p.tell(what); err != nil {
		return 0, err
	}
	line, err := p.out.ReadString('\n')
	if err != nil {
		return 0, err
	}
	return strconv.ParseFloat(strings.TrimSpace(line), 64)
}
