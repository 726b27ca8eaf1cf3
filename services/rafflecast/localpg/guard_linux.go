package localpg

import "os/exec"

// start starts cmd so that the kernel sends it g.signal when the calling thread ends.
func (g guard) start(cmd *exec.Cmd) (release func(), err error) {
	if g.watchdog {
		return g.startWatched(cmd)
	}
	cmd.SysProcAttr.Pdeathsig = g.signal
	return func() {}, cmd.Start()
}
