package fanout

import (
	"net/http"
	"time"
)

// port is the socket of a connection that keeps its handler: a mailbox for one
// frame, which the handler writes. It has room again when that is written.
type port struct {
	frames chan []byte   // one
	ended  chan struct{} // closed by the shard
}

func newPort() *port {
	return &port{frames: make(chan []byte, 1), ended: make(chan struct{})}
}

func (p *port) write(b []byte) (int, error) {
	select {
	case p.frames <- b:
		return len(b), nil
	default:
		return 0, nil
	}
}

func (p *port) close() { close(p.ended) }

// serve writes what comes until the shard ends the connection, or the client
// does, or takes nothing for the timeout.
func (p *port) serve(w http.ResponseWriter, r *http.Request, c *conn, timeout time.Duration) {
	out := http.NewResponseController(w)
	write := func(b []byte) bool {
		if out.SetWriteDeadline(time.Now().Add(timeout)) != nil {
			return false
		}
		_, err := w.Write(b)
		return err == nil && out.Flush() == nil
	}
	for {
		said := isWritable
		select {
		case b := <-p.frames:
			if !write(b) {
				said = isGone
			}
		case <-p.ended:
			select {
			case b := <-p.frames: // the last
				write(b)
			default:
			}
			return
		case <-r.Context().Done():
			said = isGone
		}
		c.shard.tell(c, said)
		if said == isGone {
			<-p.ended // so that nothing of the connection is left when it returns
			return
		}
	}
}
