package fanout

import (
	"errors"
	"fmt"
	"net"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rafflecast/rafflecast/services/internal/socket"
)

// send writes to a socket without blocking and returns how many bytes it took.
func send(fd int32, b []byte) (int, error) { return socket.Send(fd, b) }

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
// and lose that, so that is read first. Where the client has gone nothing is
// worth the trouble.
func closeSocket(fd int32, clientGone bool) {
	if !clientGone {
		_ = unix.Shutdown(int(fd), unix.SHUT_WR)
		discard(&conn{fd: fd})
	}
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
