package localpg

import (
	"os/exec"
	"syscall"
)

// interruptWithParent makes the kernel interrupt cmd when the thread that starts it ends, and reports
// whether the system can do that.
func interruptWithParent(cmd *exec.Cmd) bool {
	cmd.SysProcAttr.Pdeathsig = syscall.SIGINT
	return true
}
