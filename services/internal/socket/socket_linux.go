// Package socket writes to sockets, and looks at what has arrived, at the lowest cost that
// Linux allows, and bounds how long they wait for a peer that has vanished.
package socket

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Send writes b to a socket without blocking and returns how many bytes the socket
// took. Fewer than len(b) without an error mean that its buffer is full. Since the
// system call never waits, the scheduler is not told of it, which saves time.
func Send(fd int32, b []byte) (int, error) {
	sent := 0
	for sent < len(b) {
		n, _, errno := syscall.RawSyscall6(syscall.SYS_SENDTO, uintptr(fd),
			//nolint:gosec // G103: unix.Send does not return how much was taken
			uintptr(unsafe.Pointer(unsafe.SliceData(b[sent:]))),
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

// Peek copies what has arrived at a socket into b, without blocking, and leaves it there
// to be read. 0 means that the client has shut down its side; nothing yet is EAGAIN.
func Peek(fd int32, b []byte) (int, error) { return receive(fd, b, unix.MSG_PEEK) }

// Receive is Peek that reads what has arrived.
func Receive(fd int32, b []byte) (int, error) { return receive(fd, b, 0) }

func receive(fd int32, b []byte, flags uintptr) (int, error) {
	for {
		n, _, errno := syscall.RawSyscall6(syscall.SYS_RECVFROM, uintptr(fd),
			//nolint:gosec // G103: unix.Recvfrom allocates for the address
			uintptr(unsafe.Pointer(unsafe.SliceData(b))),
			uintptr(len(b)), flags|unix.MSG_DONTWAIT, 0, 0)
		switch errno {
		case 0:
			return int(n), nil
		case unix.EINTR:
		default:
			return 0, errno
		}
	}
}
