//go:build unix

package accept

import "syscall"

// OpenFiles returns how many files the process may open, or 0 if that is unknown. Go's
// runtime has raised the limit as far as it may.
func OpenFiles() int {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 0
	}
	return int(min(limit.Cur, 1<<30))
}
