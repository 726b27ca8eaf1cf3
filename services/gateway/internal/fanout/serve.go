package fanout

import (
	"context"
	"math/rand/v2"
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

// Watch is a raffle of a subscription.
type Watch struct {
	RaffleID int64
	Seen     int64 // version that the client has with what its connection opens with
	Final    bool  // that version is the last
}

// Subscription is what a client asked for.
type Subscription struct {
	Watches []Watch
	// Opening goes out first.
	Opening []byte
	// Done, where set, is called once when the connection has ended, and quickly
	// returns. Where the hub refuses the subscription it is not called.
	Done func(Reason)
}

type connKey struct{}

// ConnContext is for http.Server.ConnContext of a server without TLS in front of
// the handlers that call Serve. Only connections that it has seen are detached.
func ConnContext(ctx context.Context, c net.Conn) context.Context {
	if _, ok := c.(*net.TCPConn); ok && canDetach {
		return context.WithValue(ctx, connKey{}, true)
	}
	return ctx
}

// Serve answers a request with a stream of updates; the header fields are set,
// and nothing is written yet. It may return before the stream ends. False means
// that the hub is leaving, and that nothing was written.
func (h *Hub) Serve(w http.ResponseWriter, r *http.Request, sub Subscription) bool {
	if !h.enter() {
		return false
	}
	c := h.newConn(sub)
	if !h.cfg.Ordinary && r.ProtoMajor == 1 && r.Context().Value(connKey{}) != nil {
		h.serveDetached(w, c)
		return true
	}
	p := newPort()
	c.out = p
	w.WriteHeader(http.StatusOK)
	if !h.hand(c) {
		return true
	}
	p.serve(w, r, c, h.cfg.WriteTimeout)
	return true
}

// serveDetached takes the connection from net/http and hands it to a shard. From
// here on a failure means that the client is gone.
func (h *Hub) serveDetached(w http.ResponseWriter, c *conn) {
	head := appendHead(make([]byte, 0, 512+len(c.rest)), w.Header())
	nc, buffered, err := http.NewResponseController(w).Hijack()
	if err == nil {
		c.received = int32(buffered.Reader.Buffered())
		c.fd, err = detach(nc, h.cfg.SendBuffer, h.cfg.WriteTimeout)
	}
	if err != nil {
		h.refuse(c)
		return
	}
	c.rest = append(head, c.rest...)
	h.hand(c)
}

// appendHead appends the head of an answer whose body ends with the connection.
func appendHead(b []byte, header http.Header) []byte {
	b = append(b, "HTTP/1.1 200 OK\r\nConnection: close\r\nDate: "...)
	b = append(append(b, date(time.Now())...), "\r\n"...)
	for name, values := range header {
		for _, value := range values {
			b = append(append(append(append(b, name...), ": "...), value...), "\r\n"...)
		}
	}
	return append(b, "\r\n"...)
}

// dated is a second as a Date header names it; formatting it takes as long as
// much of a handshake.
type dated struct {
	second int64
	text   string
}

var lastDate atomic.Pointer[dated]

func date(now time.Time) string {
	d := lastDate.Load()
	if second := now.Unix(); d == nil || d.second != second {
		d = &dated{second, now.UTC().Format(http.TimeFormat)}
		lastDate.Store(d)
	}
	return d.text
}

// Wait returns when a raffle has a newer version than this one, or after at most
// d, or with ctx, or when the hub leaves.
func (h *Hub) Wait(ctx context.Context, raffleID, version int64, d time.Duration) {
	if !h.enter() {
		return
	}
	c := h.newConn(Subscription{Watches: []Watch{{RaffleID: raffleID, Seen: version}}})
	c.quiet, c.endsAt, c.ending = true, h.now()+d, WaitedOut
	p := newPort()
	c.out = p
	if !h.hand(c) {
		return
	}
	select {
	case <-p.frames:
	case <-p.ended:
	case <-ctx.Done():
	}
	c.shard.tell(c, isGone)
	<-p.ended
}

func (h *Hub) newConn(sub Subscription) *conn {
	now := h.now()
	c := &conn{
		shard: h.shards[int(h.turn.Add(1))%len(h.shards)],
		fd:    -1,
		rest:  sub.Opening,
		done:  sub.Done,

		silentSince: now,
		interval:    int32(jitter(h.cfg.Heartbeat).Milliseconds()),
		endsAt:      now + jitter(h.cfg.Lifetime),
		ending:      LivedOut,
		turn:        uint8(rand.N(uint(len(sub.Watches)))),
	}
	if c.watches = c.one[:]; len(sub.Watches) > 1 {
		c.watches = make([]watch, len(sub.Watches))
	}
	for i, w := range sub.Watches {
		c.watches[i] = watch{raffle: w.RaffleID, seen: w.Seen, final: w.Final}
	}
	return c
}

// hand gives a connection to its shard; false where that has stopped.
func (h *Hub) hand(c *conn) bool {
	if c.shard.give(c) {
		return true
	}
	h.refuse(c)
	return false
}

// refuse ends a connection that no shard has.
func (h *Hub) refuse(c *conn) {
	if c.fd >= 0 {
		closeSocket(c.fd, true)
	}
	c.shard.stats.ended(Failed)
	if c.done != nil {
		c.done(Failed)
	}
	h.exit()
}
