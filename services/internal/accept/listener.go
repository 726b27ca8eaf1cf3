package accept

import (
	"net"
	"sync"
	"time"
)

// maxWaiting is how many connections may wait until they are let in, which takes them a
// fifth of a second. Further ones are refused.
const maxWaiting = pacePerSecond / 5

// listener accepts the connections of another one. Its goroutine ends when it is closed.
type listener struct {
	net.Listener
	bounds *Bounds

	accepted chan accepted
	closing  chan struct{}
	ended    chan struct{} // closed by the goroutine

	mu       sync.Mutex
	isClosed bool
	waiting  map[net.Conn]*time.Timer
}

// accepted is a result of Accept.
type accepted struct {
	conn net.Conn
	err  error
}

// Listen returns a listener that accepts from l what is within the bounds. It must be
// closed, which closes l.
func (b *Bounds) Listen(l net.Listener) net.Listener {
	bounded := &listener{
		Listener: l, bounds: b, accepted: make(chan accepted), closing: make(chan struct{}), ended: make(chan struct{}),
		waiting: map[net.Conn]*time.Timer{},
	}
	go bounded.run()
	return bounded
}

// Accept implements net.Listener.
func (l *listener) Accept() (net.Conn, error) {
	select {
	case a := <-l.accepted:
		return a.conn, a.err
	case <-l.closing:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener. Connections that wait are closed.
func (l *listener) Close() error {
	err := l.Listener.Close()
	l.mu.Lock()
	if !l.isClosed {
		l.isClosed = true
		close(l.closing)
	}
	for c, timer := range l.waiting {
		timer.Stop()
		_ = c.Close()
	}
	clear(l.waiting)
	l.mu.Unlock()
	<-l.ended
	return err
}

// run accepts until l is closed.
func (l *listener) run() {
	defer close(l.ended)
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			if !l.offer(accepted{err: err}) {
				return
			}
			continue
		}
		if wait := l.admit(c); wait > 0 {
			l.later(c, wait)
		} else if wait == 0 && !l.offer(accepted{conn: c}) {
			return
		}
	}
}

// offer hands a result to Accept, and reports false if l is closed.
func (l *listener) offer(a accepted) bool {
	select {
	case l.accepted <- a:
		return true
	case <-l.closing:
		if a.conn != nil {
			_ = a.conn.Close()
		}
		return false
	}
}

// admit prepares a connection and returns how long it must wait, or closes it and returns
// less than 0.
func (l *listener) admit(c net.Conn) time.Duration {
	tcp, isTCP := c.(*net.TCPConn)
	refused, wait := l.bounds.admit(c.RemoteAddr(), l.isCrowded())
	if refused == "" {
		if isTCP && l.bounds.cfg.WriteBuffer > 0 {
			_ = tcp.SetWriteBuffer(l.bounds.cfg.WriteBuffer) // a hint
		}
		return wait
	}
	if l.bounds.cfg.Refused != nil {
		l.bounds.cfg.Refused(refused)
	}
	if isTCP {
		_ = tcp.SetLinger(0) // the kernel keeps nothing of it
	}
	_ = c.Close()
	return -1
}

func (l *listener) isCrowded() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.waiting) >= maxWaiting
}

// later offers a connection after a while.
func (l *listener) later(c net.Conn, wait time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.isClosed {
		_ = c.Close()
		return
	}
	l.waiting[c] = time.AfterFunc(wait, func() {
		l.mu.Lock()
		_, waits := l.waiting[c]
		delete(l.waiting, c)
		l.mu.Unlock()
		if waits {
			l.offer(accepted{conn: c})
		}
	})
}
