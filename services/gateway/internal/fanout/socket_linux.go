package fanout

import (
	"errors"
	"fmt"
	"net"

	"golang.org/x/sys/unix"

	"github.com/rafflecast/rafflecast/services/internal/socket"
)

// send writes to a socket without blocking and returns how many bytes it took.
func send(fd int32, b []byte) (int, error) { return socket.Send(fd, b) }

// maxInput bounds what a client may send after its request over its whole life, in
// bytes: what it has pipelined, for example. It is thrown away.
const maxInput = 16 << 10

// discardInput reads what a client has sent and adds it to received. It reports
// whether the connection must end, and why.
func discardInput(fd int32, received *int32) (why Reason, ended bool) {
	var trash [2048]byte
	for {
		n, err := unix.Read(int(fd), trash[:])
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.EAGAIN):
			return 0, false
		case errors.Is(err, unix.ETIMEDOUT):
			return Stalled, true
		case err != nil || n == 0:
			return ClientGone, true
		}
		if *received += int32(n); *received > maxInput {
			return UnexpectedInput, true
		}
	}
}

// closeSocket closes a detached connection. The kernel goes on delivering what was
// written. But if something is left unread, it would reset the connection and lose
// that, so it is read first, unless the client is gone.
func closeSocket(fd int32, clientGone bool) {
	if !clientGone {
		_ = unix.Shutdown(int(fd), unix.SHUT_WR)
		var received int32
		discardInput(fd, &received)
	}
	_ = unix.Close(int(fd))
}

// detach returns a duplicate of a connection's descriptor, and closes the connection.
func detach(nc net.Conn) (int32, error) {
	defer func() { _ = nc.Close() }() // the duplicate stays open
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
	return int32(fd), nil
}

// SetSocketOptions sets the options of a detached connection on a socket, or on one that
// listens, whose connections inherit them.
func (h *Hub) SetSocketOptions(fd int) {
	if h.cfg.SendBuffer > 0 {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, h.cfg.SendBuffer) // a hint
	}
	// A connection to a host that has vanished may not even fill its buffer. The kernel
	// goes by whole segments: while a slow client takes bytes of one, its time runs on.
	// So this is well above the write timeout, which goes by bytes.
	timeout := 4 * int(h.cfg.WriteTimeout.Milliseconds())
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, timeout)
}

// take reads what is known to have arrived.
func take(fd int32, b []byte) { _, _ = unix.Read(int(fd), b) }

// canDetach reports whether connections can be detached on this system.
const canDetach = true
