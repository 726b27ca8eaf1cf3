package socket

import (
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// SetUserTimeout bounds how long what was sent on a TCP connection may stay without an
// acknowledgement before the kernel ends the connection. A peer whose machine or network
// has vanished acknowledges nothing, and the kernel's own limit is a quarter of an hour.
// Connections that a listening socket accepts have its timeout. Other systems than
// Linux keep their own.
func SetUserTimeout(c syscall.RawConn, d time.Duration) error {
	var errSet error
	if err := c.Control(func(fd uintptr) {
		errSet = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(d.Milliseconds()))
	}); err != nil {
		return err
	}
	return errSet
}

// UserTimeout returns what SetUserTimeout has set, or 0.
func UserTimeout(c syscall.RawConn) (d time.Duration, err error) {
	errControl := c.Control(func(fd uintptr) {
		var ms int
		ms, err = unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT)
		d = time.Duration(ms) * time.Millisecond
	})
	if errControl != nil {
		return 0, errControl
	}
	return d, err
}
