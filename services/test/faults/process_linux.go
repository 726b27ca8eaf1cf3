package faults

import "syscall"

// setDeathSignal has a child killed when this process dies.
func setDeathSignal(attr *syscall.SysProcAttr) { attr.Pdeathsig = syscall.SIGKILL }
