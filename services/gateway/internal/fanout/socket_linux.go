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
// listens, whose connections inherit them. What bounds a client that has vanished, which may
// not even fill its buffer, is an option of the socket that listens: see config.Listen.
func (h *Hub) SetSocketOptions(fd int) {
	if h.cfg.SendBuffer > 0 {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, h.cfg.SendBuffer) // a hint
	}
}

// suspendUserTimeout has the write timeout alone bound a connection that is blocked. The
// user timeout goes by whole segments: the kernel counts from when the client's window has
// closed until a whole segment fits into it, so that a client which takes some bytes
// every second would be reset all the same.
func (s *shard) suspendUserTimeout(c *conn) {
	if c.fd < 0 || c.patient {
		return
	}
	if ms, err := unix.GetsockoptInt(int(c.fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT); err == nil && ms > 0 {
		s.patience = ms
		c.patient = unix.SetsockoptInt(int(c.fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, 0) == nil
	}
}

// restoreUserTimeout bounds a connection as before it was blocked, if its client has
// acknowledged everything: the kernel's time has run on until then. What is written next
// begins it anew.
func (s *shard) restoreUserTimeout(c *conn) {
	if !c.patient {
		return
	}
	if waiting, err := unix.IoctlGetInt(int(c.fd), unix.TIOCOUTQ); err == nil && waiting == 0 {
		c.patient = unix.SetsockoptInt(int(c.fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, s.patience) != nil
	}
}

// take reads what is known to have arrived.
func take(fd int32, b []byte) { _, _ = unix.Read(int(fd), b) }

// canDetach reports whether connections can be detached on this system.
const canDetach = true

// threadCPU returns the CPU time that this thread has used. A goroutine that has moved to
// another thread between two calls gets a wrong difference, which is rare.
func threadCPU(time.Duration) time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t); err != nil {
		return 0
	}
	return time.Duration(t.Nano())
}
