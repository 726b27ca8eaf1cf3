package accept

import "net"

// listener accepts the connections of another one that are within the bounds.
type listener struct {
	net.Listener
	bounds *Bounds
}

// Listen returns a listener that accepts from l what is within the bounds.
func (b *Bounds) Listen(l net.Listener) net.Listener { return &listener{l, b} }

// Accept implements net.Listener.
func (l *listener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		tcp, isTCP := c.(*net.TCPConn)
		refused := l.bounds.refusal(c.RemoteAddr())
		if refused == "" {
			if isTCP && l.bounds.cfg.WriteBuffer > 0 {
				_ = tcp.SetWriteBuffer(l.bounds.cfg.WriteBuffer) // a hint
			}
			return c, nil
		}
		if l.bounds.cfg.Refused != nil {
			l.bounds.cfg.Refused(refused)
		}
		if isTCP {
			_ = tcp.SetLinger(0) // the kernel keeps nothing of it
		}
		_ = c.Close()
	}
}
