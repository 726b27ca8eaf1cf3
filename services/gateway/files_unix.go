//go:build unix

package gateway

import "syscall"

// openFiles returns how many files the process may open; 0: not known. The
// runtime has raised the limit as far as it may.
func openFiles() int {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 0
	}
	return int(min(limit.Cur, 1<<30))
}
