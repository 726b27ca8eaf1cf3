package fanout

import (
	"context"
	"math/rand/v2"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/rafflecast/rafflecast/services/gateway/internal/odds"
)

// Subscription is a connection's subscription to a raffle.
type Subscription struct {
	LastSent int64 // newest version that the client has, or was sent; 0: none
	topic    *topic
	RaffleID int64
	index    int32  // among the topic's subscribers
	Life     uint32 // of LastSent, as odds.Update.Life
	Final    bool   // no version will follow LastSent in this life
	Reset    Reset  // why the next update is preceded by a reset event; 0: it is not
}

// noteSent notes that an update was sent, or has begun to be.
func (s *Subscription) noteSent(u *odds.Update) {
	s.LastSent, s.Life, s.Final, s.Reset = u.Version, u.Life, u.Final, 0
}

// isAheadOf reports whether the client has a higher version of u's life than u.
func (s *Subscription) isAheadOf(u *odds.Update) bool {
	return s.Life == u.Life && s.LastSent > u.Version
}

// resetBefore returns why u must be preceded by a reset event, or 0 if it need not.
func (s *Subscription) resetBefore(u *odds.Update) Reset {
	if s.Reset == 0 && s.LastSent > 0 && s.Life != u.Life {
		return ResetAnotherLife
	}
	return s.Reset
}

// Stream is what a client is to be sent.
type Stream struct {
	// Subscriptions are to one or more raffles, each once. The hub keeps the slice.
	Subscriptions []Subscription
	// Opening is sent first.
	Opening []byte
	// Backlog is sent next: updates of those of these raffles whose Reset is 0, each newer
	// than the one before and than LastSent. Other connections may share the slice.
	Backlog []*odds.Update
	// EndsBy, unless it is zero, ends the connection if its lifetime would last longer. If
	// it is zero, an update of a raffle for members ends the connection, and is not sent.
	EndsBy time.Time
	// Done, if set, is called once when the connection has ended, and must not block. It
	// is not called if Serve returns false.
	Done func(Reason)
}

type connKey struct{}

// ConnContext is for http.Server.ConnContext of a server without TLS whose handlers
// call Serve. Only connections that it has seen are detached.
func ConnContext(ctx context.Context, c net.Conn) context.Context {
	if _, ok := c.(*net.TCPConn); ok && canDetach {
		return context.WithValue(ctx, connKey{}, true)
	}
	return ctx
}

// Serve answers a request with a stream. The caller has set the header fields and
// written nothing. Serve may return before the stream ends. False means that the hub
// is draining, and that nothing was written.
func (h *Hub) Serve(w http.ResponseWriter, r *http.Request, stream Stream) bool {
	if !h.enter() {
		return false
	}
	c := h.newConn(stream)
	if h.detach && r.ProtoMajor == 1 && r.Context().Value(connKey{}) != nil {
		h.serveDetached(w, c)
		return true
	}
	handler := newHandlerConn()
	c.writer = handler
	w.WriteHeader(http.StatusOK)
	if h.hand(c) {
		handler.serve(w, r, c, h.cfg.WriteTimeout)
	}
	return true
}

// serveDetached takes the connection from net/http and hands it to a shard. From
// here on, a failure means that the client is gone.
func (h *Hub) serveDetached(w http.ResponseWriter, c *conn) {
	c.prepend(w.Header())
	nc, buffered, err := http.NewResponseController(w).Hijack()
	if err == nil {
		c.received = int32(buffered.Reader.Buffered())
		c.fd, err = detach(nc)
	}
	if err != nil {
		h.refuse(c)
		return
	}
	h.SetSocketOptions(int(c.fd))
	h.hand(c)
}

// ServeSocket answers a request that has arrived on a socket, and was only looked at so
// far, with a stream. The hub owns the socket, which must have the options of
// SetSocketOptions, unless ServeSocket returns false: then it is untouched, and the hub is
// draining or detaches nothing. The memory of request is used.
func (h *Hub) ServeSocket(fd int32, request []byte, header http.Header, stream Stream) bool {
	if !h.detach || !h.enter() {
		return false
	}
	take(fd, request)
	c := h.newConn(stream)
	c.fd = fd
	c.prepend(header)
	h.hand(c)
	return true
}

// prepend has the head of the response sent before anything else.
func (c *conn) prepend(header http.Header) {
	c.rest = append(appendHead(make([]byte, 0, 512+len(c.rest)), header), c.rest...)
}

// appendHead appends the head of a response whose body ends with the connection.
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

// formattedDate is a second in the format of a Date header. Formatting it takes as
// long as much of a handshake.
type formattedDate struct {
	second int64
	text   string
}

var lastDate atomic.Pointer[formattedDate]

func date(now time.Time) string {
	d := lastDate.Load()
	if second := now.Unix(); d == nil || d.second != second {
		d = &formattedDate{second, now.UTC().Format(http.TimeFormat)}
		lastDate.Store(d)
	}
	return d.text
}

func (h *Hub) newConn(stream Stream) *conn {
	now := h.now()
	c := &conn{
		shard: h.shards[int(h.turn.Add(1))%len(h.shards)],
		fd:    -1,
		rest:  stream.Opening,
		subs:  stream.Subscriptions,
		done:  stream.Done,

		lastWrite: now,
		interval:  int32(jitter(h.cfg.Heartbeat).Milliseconds()),
		endsAt:    now + jitter(h.cfg.Lifetime),
		ending:    MaxLifetime,

		forMembers: !stream.EndsBy.IsZero(),
		turn:       uint8(rand.N(uint(len(stream.Subscriptions)))),
	}
	if !stream.EndsBy.IsZero() {
		c.endsAt = min(c.endsAt, now+time.Until(stream.EndsBy))
	}
	if len(c.subs) == 1 { // the caller's slice need not stay in memory
		c.one[0] = c.subs[0]
		c.subs = c.one[:]
	}
	if len(stream.Backlog) > 0 {
		c.backlog = &backlog{stream.Backlog}
	}
	return c
}

// hand gives a connection to its shard and reports whether the shard has taken it:
// it has not stopped.
func (h *Hub) hand(c *conn) bool {
	if c.shard.add(c) {
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
	c.shard.stats.endings.add(Failed)
	if c.done != nil {
		c.done(Failed)
	}
	h.exit()
}
