//go:build unix

package localpg

import (
	"os/exec"
	"runtime"
	"syscall"
)

// guard says how a process ends when this one dies.
type guard struct {
	signal   syscall.Signal
	watchdog bool // by a pipe, also where the kernel could do it
}

// process is a child that ends with this process.
type process struct{ cmd *exec.Cmd }

// startProcess starts cmd and calls ended with the result of waiting for it, from another goroutine, exactly once,
// unless it returns an error.
func startProcess(cmd *exec.Cmd, g guard, ended func(error)) (*process, error) {
	p := &process{cmd: cmd}
	started := make(chan error, 1)
	go p.supervise(g, started, ended)
	if err := <-started; err != nil {
		return nil, err
	}
	return p, nil
}

// supervise runs the child from start to end on one thread, because the kernel's parent-death signal is sent when the
// forking thread ends, not the process; see prctl(2).
func (p *process) supervise(g guard, started chan<- error, ended func(error)) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	release, err := g.start(p.cmd)
	started <- err
	if err != nil {
		return
	}
	err = p.cmd.Wait()
	release()
	ended(err)
}

// runGuarded is cmd.Run for a child that must not outlive this process.
func runGuarded(cmd *exec.Cmd) error {
	result := make(chan error, 1)
	if _, err := startProcess(cmd, guard{signal: syscall.SIGKILL}, func(err error) { result <- err }); err != nil {
		return err
	}
	return <-result
}

func (p *process) pid() int { return p.cmd.Process.Pid }

// signal does nothing when the process has been waited for, so it cannot hit a stranger with the same pid.
func (p *process) signal(sig syscall.Signal) { _ = p.cmd.Process.Signal(sig) }
