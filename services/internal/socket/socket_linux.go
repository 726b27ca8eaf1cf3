// Package socket writes to sockets as cheaply as Linux lets one.
package socket

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Send writes to a socket without blocking and returns how many bytes it took;
// fewer than all mean that it is full. It goes past the scheduler's bookkeeping
// for system calls, since it never waits.
func Send(fd int32, b []byte) (int, error) {
	sent := 0
	for sent < len(b) {
		n, _, errno := syscall.RawSyscall6(syscall.SYS_SENDTO, uintptr(fd),
			uintptr(unsafe.Pointer(unsafe.SliceData(b[sent:]))), //nolint:gosec // unix.Send does not return how much was taken
			uintptr(len(b)-sent), unix.MSG_NOSIGNAL|unix.MSG_DONTWAIT, 0, 0)
		switch errno {
		case 0:
			sent += int(n)
		case unix.EAGAIN:
			return sent, nil
		case unix.EINTR:
		default:
			return sent, errno
		}
	}
	return sent, nil
}
