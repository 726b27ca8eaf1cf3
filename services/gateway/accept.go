package gateway

import (
	"net"
	"net/http"
	"sync/atomic"
)

// acceptBuffer bounds what the kernel buffers for a client that does not read, in bytes.
// Streams get less.
const acceptBuffer = 64 << 10

// acceptLimit returns how many connections of the public port may be open, if the
// process may open so many files: some are kept back for the operations port, NATS and
// participation. 0 means no limit.
func acceptLimit(files int) int {
	if files == 0 {
		return 0
	}
	return max(1, files-max(64, files/20))
}

// acceptedConns counts the open connections of a server. Its methods are safe for
// concurrent use.
type acceptedConns struct {
	limit    int        // 0: none
	detached func() int // connections that the server has handed over; set with limit
	refused  func()     // called for each connection beyond limit; set with limit

	open atomic.Int64 // that the server has
}

// onState is for http.Server.ConnState.
func (a *acceptedConns) onState(_ net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		a.open.Add(1)
	case http.StateHijacked, http.StateClosed:
		a.open.Add(-1)
	case http.StateActive, http.StateIdle:
	}
}

// isFull reports whether no more connections may be open. A stream that keeps its
// handler counts twice.
func (a *acceptedConns) isFull() bool {
	return a.limit > 0 && int(a.open.Load())+a.detached() >= a.limit
}

// boundedListener bounds the buffers of the connections that it accepts, and closes
// those beyond the limit at once: a client that waits in the kernel's queue would not
// try another instance.
type boundedListener struct {
	net.Listener
	accepted *acceptedConns
}

// Accept implements net.Listener.
func (l *boundedListener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if l.accepted.isFull() {
			l.accepted.refused()
			_ = c.Close()
			continue
		}
		if tcp, ok := c.(*net.TCPConn); ok {
			_ = tcp.SetWriteBuffer(acceptBuffer) // a hint
		}
		return c, nil
	}
}
