package faults

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// process is a program that can be killed, frozen and started again.
type process struct {
	name string
	make func() *exec.Cmd // a new command each time
	log  string           // file

	mu      sync.Mutex
	cmd     *exec.Cmd
	ended   chan struct{}
	stopped bool // frozen by SIGSTOP
}

func newProcess(dir, name string, command func() *exec.Cmd) *process {
	return &process{name: name, make: command, log: filepath.Join(dir, name+".log")}
}

// start starts the program, unless it runs.
func (p *process) start() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.running() {
		return nil
	}
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644) //nolint:gosec // a log for whoever looks for a failure
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	cmd := p.make()
	cmd.Stdout, cmd.Stderr = log, log
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid = true // a signal reaches all that it has started
	setDeathSignal(cmd.SysProcAttr)
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", p.name, err)
	}
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	p.cmd, p.ended, p.stopped = cmd, ended, false
	return nil
}

// running reports whether the program has been started and has not ended. p.mu
// is held.
func (p *process) running() bool {
	if p.cmd == nil {
		return false
	}
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

func (p *process) alive() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.running()
}

// signal sends a signal to the program and all that it has started.
func (p *process) signal(s syscall.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.running() {
		return
	}
	if s == syscall.SIGSTOP || s == syscall.SIGCONT {
		p.stopped = s == syscall.SIGSTOP
	}
	_ = syscall.Kill(-p.cmd.Process.Pid, s)
}

// end sends a signal and waits until the program has ended; past the timeout it
// is killed.
func (p *process) end(s syscall.Signal, timeout time.Duration) error {
	p.mu.Lock()
	ended, frozen, running := p.ended, p.stopped, p.running()
	p.mu.Unlock()
	if !running {
		return nil
	}
	if frozen {
		p.signal(syscall.SIGCONT)
	}
	p.signal(s)
	select {
	case <-ended:
		return nil
	case <-time.After(timeout):
	}
	p.signal(syscall.SIGKILL)
	<-ended
	return errors.New(p.name + " did not end in time")
}
