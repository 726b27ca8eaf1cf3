//go:build !linux

package socket

import "syscall"

// Unreceived returns 0.
func Unreceived(syscall.RawConn) int { return 0 }
