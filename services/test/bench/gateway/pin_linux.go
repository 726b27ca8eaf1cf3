package bench

import (
	"os"
	"os/exec"
	"runtime"

	"golang.org/x/sys/unix"
)

// The server that is measured has a core to itself.
const (
	serverCore = 0
	clientCore = 1
)

// startOn returns a function that starts a command on one core: a child inherits
// the affinity of the thread that starts it.
func startOn(core int) func(*exec.Cmd) error {
	return func(cmd *exec.Cmd) error {
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
}

// PinClient moves this process to the client's core. It executes the program again,
// since a thread's affinity applies only to threads that it creates.
func PinClient() error {
	const pinned = "BENCH_PINNED"
	if os.Getenv(pinned) != "" {
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
	return unix.Exec(self, os.Args, append(os.Environ(), pinned+"=1"))
}
