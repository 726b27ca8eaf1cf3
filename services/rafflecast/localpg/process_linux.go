package localpg

import (
	"os/exec"
	"syscall"
)

// guardByKernel makes the kernel send cmd the signal when the thread that starts cmd ends, and
// reports whether this system can do that.
func guardByKernel(cmd *exec.Cmd, sig syscall.Signal) bool {
	cmd.SysProcAttr.Pdeathsig = sig
	return true
}
