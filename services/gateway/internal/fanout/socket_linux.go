package fanout

import (
	"errors"
	"fmt"
	"net"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// send writes to a socket without blocking and returns how many bytes it took.
// It goes past the scheduler's bookkeeping for system calls, since it never
// waits: that is a tenth of what it costs.
func send(fd int32, b []byte) (int, error) {
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

// mayTalk bounds what a client may send after its request, over its whole life:
// what it has pipelined, say. It is thrown away.
const mayTalk = 16 << 10

// discard reads what a client has sent; it returns a reason to drop the client,
// or none.
func discard(c *conn) Reason {
	var trash [2048]byte
	for {
		n, err := unix.Read(int(c.fd), trash[:])
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.EAGAIN):
			return ""
		case err != nil || n == 0:
			return ClientEnd
		}
		if c.received += int32(n); c.received > mayTalk {
			return Talking
		}
	}
}

// closeSocket closes a detached connection. The kernel goes on delivering what
// was written; but where something is left unread it would reset the connection
// and lose that, so that is read first.
func closeSocket(fd int32) {
	_ = unix.Shutdown(int(fd), unix.SHUT_WR)
	discard(&conn{fd: fd})
	_ = unix.Close(int(fd))
}

// detach takes the descriptor out of a connection, which is closed.
func detach(nc net.Conn, sendBuffer int, timeout time.Duration) (int32, error) {
	defer func() { _ = nc.Close() }() // the duplicate stays
	tcp, ok := nc.(*net.TCPConn)
	if !ok {
		return -1, fmt.Errorf("detach a %T", nc)
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return -1, fmt.Errorf("detach a connection: %w", err)
	}
	fd := -1
	if ctlErr := raw.Control(func(original uintptr) {
		fd, err = unix.FcntlInt(original, unix.F_DUPFD_CLOEXEC, 0)
	}); ctlErr != nil {
		err = ctlErr
	}
	if err != nil {
		return -1, fmt.Errorf("detach a connection: %w", err)
	}
	if sendBuffer > 0 {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, sendBuffer) // a hint
	}
	// One whose host has vanished does not even fill its buffer.
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(timeout.Milliseconds()))
	return int32(fd), nil
}

// canDetach says that connections may leave net/http on this system.
const canDetach = true
