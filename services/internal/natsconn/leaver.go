package natsconn

import (
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

const (
	// Patience is how long a server may leave requests for the stream unanswered before
	// a Leaver leaves it.
	Patience = 6 * time.Second
	// maxPatience bounds the patience, which doubles each time that it was in vain: maybe
	// no server has an answer.
	maxPatience = time.Minute
)

// Leaver leaves a server that does not answer requests for the stream: one that is cut
// off from the others goes on answering pings. It is told of the outcome of requests, of
// which there must be some every second or so. It is safe for concurrent use.
type Leaver struct {
	nc       *nats.Conn
	patience time.Duration // at first
	log      *slog.Logger

	mu sync.Mutex
	// failingSince is when a request was last answered, or a server was left.
	failingSince time.Time
	next         time.Duration // how long requests may fail from then on
	hasLeft      bool          // a server, without an answer since
}

// NewLeaver returns a Leaver of the connection, with this patience.
func NewLeaver(nc *nats.Conn, patience time.Duration, log *slog.Logger) *Leaver {
	return &Leaver{nc: nc, patience: patience, log: log, failingSince: time.Now(), next: patience}
}

// Answered says that a request was answered.
func (l *Leaver) Answered() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failingSince, l.next, l.hasLeft = time.Now(), l.patience, false
}

// Failed says that a request was not answered, or that the server has no answer for it.
func (l *Leaver) Failed(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.nc.IsConnected() {
		l.failingSince = time.Now() // which is logged already, and the servers are tried in turn
		return
	}
	if time.Since(l.failingSince) < l.next {
		return
	}
	if !l.hasLeft {
		l.log.Warn("the NATS server does not answer for the stream, so another one is tried",
			"server", l.nc.ConnectedUrlRedacted(), "error", err)
	}
	l.failingSince, l.hasLeft = time.Now(), true
	l.next = min(2*l.next, maxPatience)
	_ = l.nc.ForceReconnect() // fails only if the connection was closed for good
}
