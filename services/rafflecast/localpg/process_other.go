//go:build !linux

package localpg

import (
	"os/exec"
	"syscall"
)

func guardByKernel(*exec.Cmd, syscall.Signal) bool { return false }
