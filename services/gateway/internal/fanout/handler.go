package fanout

import (
	"net/http"
	"time"
)

// handlerConn is the socket of a connection that keeps its handler. It holds the
// bytes of one write, which the handler's goroutine sends.
type handlerConn struct {
	frames chan []byte   // capacity 1: what is to be sent
	closed chan struct{} // closed by the shard
}

func newHandlerConn() *handlerConn {
	return &handlerConn{frames: make(chan []byte, 1), closed: make(chan struct{})}
}

func (p *handlerConn) write(b []byte) (int, error) {
	select {
	case p.frames <- b:
		return len(b), nil
	default:
		return 0, nil
	}
}

func (p *handlerConn) close() { close(p.closed) }

// serve sends what is written until the shard closes the connection, or the client
// does, or takes nothing for the timeout.
func (p *handlerConn) serve(w http.ResponseWriter, r *http.Request, c *conn, timeout time.Duration) {
	out := http.NewResponseController(w)
	send := func(b []byte) bool {
		if out.SetWriteDeadline(time.Now().Add(timeout)) != nil {
			return false
		}
		_, err := w.Write(b)
		return err == nil && out.Flush() == nil
	}
	for {
		what := isWritable
		select {
		case b := <-p.frames:
			if !send(b) {
				what = isGone
			}
		case <-p.closed:
			select {
			case b := <-p.frames: // the last
				send(b)
			default:
			}
			return
		case <-r.Context().Done():
			what = isGone
		}
		c.shard.signal(c, what)
		if what == isGone {
			<-p.closed // so that nothing of the connection is left when serve returns
			return
		}
	}
}
