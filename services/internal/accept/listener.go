package accept

import (
	"errors"
	"net"
	"syscall"
)

// listener accepts the connections of another one that are within the bounds.
type listener struct {
	net.Listener
	bounds *Bounds
}

// Listen returns a listener that accepts from l what is within the bounds. If l implements
// syscall.Conn, on Linux, the kernel drops the SYN packets of an address that was refused too
// often, for some seconds. Bounds have one such listener.
func (b *Bounds) Listen(l net.Listener) net.Listener {
	if conn, ok := l.(syscall.Conn); ok {
		if socket, err := conn.SyscallConn(); err == nil {
			b.filter.Store(newSYNFilter(socket))
		}
	}
	return &listener{l, b}
}

// Accept implements net.Listener.
func (l *listener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			if l.bounds.cfg.Failed != nil && !errors.Is(err, net.ErrClosed) {
				l.bounds.cfg.Failed(err)
			}
			return nil, err
		}
		tcp, isTCP := c.(*net.TCPConn)
		address := Network(c.RemoteAddr())
		refused := l.bounds.refusal(address)
		if refused == "" {
			if isTCP && l.bounds.cfg.WriteBuffer > 0 {
				_ = tcp.SetWriteBuffer(l.bounds.cfg.WriteBuffer) // a hint
			}
			return c, nil
		}
		l.bounds.refused(address, refused)
		if isTCP {
			_ = tcp.SetLinger(0) // the kernel keeps nothing of it
		}
		_ = c.Close()
	}
}
