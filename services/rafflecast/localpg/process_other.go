//go:build !linux

package localpg

import "os/exec"

func interruptWithParent(*exec.Cmd) bool { return false }
