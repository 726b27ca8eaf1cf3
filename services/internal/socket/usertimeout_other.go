//go:build !linux

// Package socket bounds how long sockets wait for a peer that has vanished.
package socket

import (
	"syscall"
	"time"
)

// SetUserTimeout does nothing.
func SetUserTimeout(syscall.RawConn, time.Duration) error { return nil }

// UserTimeout returns 0.
func UserTimeout(syscall.RawConn) (time.Duration, error) { return 0, nil }
