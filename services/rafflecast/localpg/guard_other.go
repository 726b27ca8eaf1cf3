//go:build unix && !linux

package localpg

import "os/exec"

// start starts cmd with a watchdog, for want of a signal from the kernel.
func (g guard) start(cmd *exec.Cmd) (release func(), err error) { return g.startWatched(cmd) }
