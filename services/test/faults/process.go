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
	told    bool // to end
	signals int  // sent so far
	crashes []string
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
	cmd.SysProcAttr.Setpgid = true // an interrupt of the terminal is for this process only
	setDeathSignal(cmd.SysProcAttr)
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", p.name, err)
	}
	ended := make(chan struct{})
	p.cmd, p.ended, p.stopped, p.told = cmd, ended, false, false
	go func() {
		err := cmd.Wait()
		p.mu.Lock()
		if !p.told {
			p.crashes = append(p.crashes, fmt.Sprintf("%s ended by itself: %v", p.name, err))
		}
		p.mu.Unlock()
		close(ended)
	}()
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

// crashed returns when and how the program ended without having been told to.
func (p *process) crashed() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.crashes
}

// signalled returns how many signals the program was sent so far.
func (p *process) signalled() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.signals
}

func (p *process) alive() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.running()
}

// signal sends a signal to the program. SIGSTOP, SIGCONT and SIGKILL reach all that
// it has started as well: a PostgreSQL whose first process alone is frozen goes on.
func (p *process) signal(s syscall.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.running() {
		return
	}
	p.signals++
	targets := []int{p.cmd.Process.Pid}
	switch s {
	case syscall.SIGSTOP:
		p.stopped = true
		targets = tree(targets[0])
	case syscall.SIGCONT:
		p.stopped = false
		targets = tree(targets[0])
	case syscall.SIGKILL:
		targets = tree(targets[0])
	}
	for _, pid := range targets {
		_ = syscall.Kill(pid, s)
	}
}

// end sends a signal and waits until the program has ended; past the timeout it
// is killed.
func (p *process) end(s syscall.Signal, timeout time.Duration) error {
	p.mu.Lock()
	ended, frozen, running := p.ended, p.stopped, p.running()
	p.told = true
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
	p.mu.Lock()
	p.crashes = append(p.crashes, fmt.Sprintf("%s did not end within %v of %v", p.name, timeout, s))
	p.mu.Unlock()
	p.signal(syscall.SIGKILL)
	<-ended
	return errors.New(p.name + " did not end in time")
}
