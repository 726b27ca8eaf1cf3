package handshake

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/rafflecast/rafflecast/services/gateway/internal/fanout"
	"github.com/rafflecast/rafflecast/services/internal/socket"
)

// deferSeconds is for how long the kernel keeps back a connection on which nothing has
// arrived.
const deferSeconds = 1

// listener is the Listener on Linux.
type listener struct {
	net.Listener
	cfg     Config
	file    *os.File // a duplicate of the listening socket, by which to wait for it
	raw     syscall.RawConn
	request *request // memory for Accept, which one goroutine calls
	lines   lines
}

// Listen returns a Listener that accepts from l and owns it, or l itself if l does not
// listen by TCP.
func Listen(l net.Listener, cfg Config) (net.Listener, error) {
	tcp, ok := l.(*net.TCPListener)
	if !ok {
		return l, nil
	}
	file, err := tcp.File()
	if err != nil {
		return nil, fmt.Errorf("duplicate the listening socket: %w", err)
	}
	raw, err := file.SyscallConn()
	if err != nil {
		_ = file.Close()
		return nil, fmt.Errorf("duplicate the listening socket: %w", err)
	}
	// Connections inherit what is set on the socket that listens.
	if err := raw.Control(func(fd uintptr) {
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_DEFER_ACCEPT, deferSeconds) // a hint
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
		cfg.Hub.SetSocketOptions(int(fd))
	}); err != nil {
		_ = file.Close()
		return nil, fmt.Errorf("set options of the listening socket: %w", err)
	}
	return &listener{Listener: l, cfg: cfg, file: file, raw: raw, request: newRequest(), lines: newLines(cfg.Waiting)}, nil
}

// Accept returns the next connection that is not served already.
func (l *listener) Accept() (net.Conn, error) {
	for {
		c, err := l.next()
		if err != nil {
			return nil, err
		}
		if l.cfg.Open != nil && !l.cfg.Full() && l.serve(c) {
			continue
		}
		// It fails if the client has gone, or if files are lacking, of which the next
		// accept will tell.
		if c, err := netConn(c.fd); err == nil {
			return c, nil
		}
	}
}

// next returns the next connection to serve: a new one, or one whose turn has come.
func (l *listener) next() (connection, error) {
	for {
		if c, ok := l.lines.next(); ok {
			return c, nil
		}
		c, err := l.accept()
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
		case errors.Is(err, net.ErrClosed):
			l.lines.close()
			return connection{}, err
		case err != nil:
			return c, err
		case l.cfg.IsFrequent(address(c.peer)):
			l.lines.frequent.add(c)
		case l.cfg.IsPaced != nil && l.cfg.IsPaced(address(c.peer)):
			l.lines.others.add(c)
		default:
			return c, nil
		}
	}
}

// SyscallConn implements syscall.Conn.
func (l *listener) SyscallConn() (syscall.RawConn, error) { return l.raw, nil }

// Close implements net.Listener.
func (l *listener) Close() error { return errors.Join(l.file.Close(), l.Listener.Close()) }

// connection is a connection that was accepted: its descriptor and its client's address.
type connection struct {
	fd   int
	peer unix.Sockaddr
}

// accept waits for a connection. The errors are those of net, so that a server waits a
// moment if files are lacking, or os.ErrDeadlineExceeded.
func (l *listener) accept() (c connection, err error) {
	l.lines.limit(l.file)
	var failed error
	err = l.raw.Read(func(listening uintptr) (done bool) {
		for {
			c.fd, c.peer, failed = unix.Accept4(int(listening), unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
			switch {
			case errors.Is(failed, unix.EAGAIN):
				return false
			case errors.Is(failed, unix.EINTR), errors.Is(failed, unix.ECONNABORTED):
			default:
				return true
			}
		}
	})
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
	case err != nil: // the file is closed
		return c, net.ErrClosed
	case failed != nil:
		err = &net.OpError{Op: "accept", Net: "tcp", Addr: l.Addr(), Err: os.NewSyscallError("accept4", failed)}
	}
	return c, err
}

// serve serves a connection that begins with a plain request, or closes it, and reports
// whether it has done so. If not, nothing has been read.
func (l *listener) serve(c connection) bool {
	n, err := socket.Peek(int32(c.fd), l.request.data[:])
	if err != nil || n == 0 || n == maxRequest {
		return false
	}
	r := l.request.parse(l.request.data[:n])
	if r == nil {
		return false
	}
	r.RemoteAddr = address(c.peer)
	header := make(http.Header)
	stream, ok := l.cfg.Open(header, r)
	if !ok {
		return false
	}
	isAllowed := l.cfg.Allow(r.RemoteAddr)
	if isAllowed && l.cfg.Hub.ServeSocket(int32(c.fd), l.request.data[:n], header, stream) {
		return true
	}
	stream.Done(fanout.Failed)
	if !isAllowed {
		_ = unix.Close(c.fd)
	}
	return !isAllowed
}

// address writes an address as http.Request.RemoteAddr has it.
func address(peer unix.Sockaddr) string {
	switch p := peer.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(p.Addr), uint16(p.Port)).String()
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(p.Addr), uint16(p.Port)).String()
	}
	return ""
}

// netConn returns the connection of a descriptor, which it closes: net has a duplicate.
func netConn(fd int) (net.Conn, error) {
	f := os.NewFile(uintptr(fd), "connection")
	defer func() { _ = f.Close() }()
	c, err := net.FileConn(f)
	if err == nil && c.RemoteAddr() == nil {
		_ = c.Close()
		return nil, net.ErrClosed
	}
	return c, err
}
