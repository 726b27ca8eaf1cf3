package httpserver

import (
	"crypto/tls"
	"net"
	"net/http"
	"sync"
	"syscall"
	"time"

	"github.com/rafflecast/rafflecast/services/internal/socket"
)

// Bounds of the time between two looks at whether an answer was received.
const (
	firstLook = time.Millisecond
	rareLook  = time.Second
)

// AwaitReceived has the next request of a connection of HTTP/1 wait until its client has
// received the answer to the one before: a client that asks for much and reads nothing costs
// one answer, and not as many as the kernel buffers. Whoever asks for one thing after the
// other never waits. The connection is closed if that takes longer than an answer may. Call
// it before s serves. Other systems than Linux do not know what was received.
func AwaitReceived(s *http.Server) {
	var answered sync.Map // connections that wait for another request
	onState := s.ConnState
	s.ConnState = func(c net.Conn, state http.ConnState) {
		if onState != nil {
			onState(c, state)
		}
		if state == http.StateIdle {
			answered.Store(c, nil)
		} else if _, was := answered.LoadAndDelete(c); was && state == http.StateActive {
			awaitReceived(c)
		}
	}
}

func awaitReceived(c net.Conn) {
	secured, isTLS := c.(*tls.Conn)
	if isTLS {
		if secured.ConnectionState().NegotiatedProtocol == "h2" { // whose answers overtake each other
			return
		}
		c = secured.NetConn()
	}
	conn, ok := c.(syscall.Conn)
	if !ok {
		return
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		return // it is closed, as reading and writing will tell
	}
	begin := time.Now()
	for look := firstLook; socket.Unreceived(raw) > 0; look = min(2*look, rareLook) {
		if time.Since(begin) > responseTimeout {
			_ = c.Close()
			return
		}
		time.Sleep(look)
	}
}
