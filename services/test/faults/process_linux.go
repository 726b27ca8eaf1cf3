package faults

import (
	"os"
	"strconv"
	"strings"
	"syscall"
)

// setDeathSignal has a child killed when this process dies.
func setDeathSignal(attr *syscall.SysProcAttr) { attr.Pdeathsig = syscall.SIGKILL }

// tree returns a process and all that it has started, which may have made process
// groups of their own.
func tree(pid int) []int {
	all := []int{pid}
	for i := 0; i < len(all); i++ {
		id := strconv.Itoa(all[i])
		children, err := os.ReadFile("/proc/" + id + "/task/" + id + "/children") //nolint:gosec // of a process
		if err != nil {
			continue // it has ended
		}
		for child := range strings.FieldsSeq(string(children)) {
			if n, err := strconv.Atoi(child); err == nil {
				all = append(all, n)
			}
		}
	}
	return all
}
