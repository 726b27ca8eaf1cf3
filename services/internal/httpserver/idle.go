package httpserver

import (
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/rafflecast/rafflecast/services/internal/accept"
)

// idleLogInterval is the least time between two log lines about addresses with too many
// idle connections.
const idleLogInterval = time.Minute

// LimitIdle bounds the connections of s that wait for another request, for each client
// address (of IPv6: each /64). Beyond the limit an answer says that its connection
// closes; a client that has its connections wait together nevertheless finds them
// closed. closed, if set, is called for each. Call it before s serves; 0 means no limit.
func LimitIdle(s *http.Server, limit int, log *slog.Logger, closed func()) {
	if limit == 0 {
		return
	}
	l := &idleLimit{
		limit: limit, log: log, closed: closed, sometimes: rate.Sometimes{Interval: idleLogInterval},
		idle: make(map[net.Conn]netip.Addr), count: make(map[netip.Addr]int),
	}
	next, onState := s.Handler, s.ConnState
	s.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if l.isFull(r.RemoteAddr) {
			w.Header().Set("Connection", "close")
		}
		next.ServeHTTP(w, r)
	})
	s.ConnState = func(c net.Conn, state http.ConnState) {
		if onState != nil {
			onState(c, state)
		}
		l.onState(c, state)
	}
}

// idleLimit counts idle connections. Its methods are safe for concurrent use.
type idleLimit struct {
	limit     int
	log       *slog.Logger
	closed    func()
	sometimes rate.Sometimes

	mu    sync.Mutex
	idle  map[net.Conn]netip.Addr
	count map[netip.Addr]int // connections in idle
}

// isFull reports whether no more connections from an address may wait.
func (l *idleLimit) isFull(address string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.idle) >= l.limit && l.count[accept.NetworkOf(address)] >= l.limit
}

// onState counts a connection, and closes it if too many wait.
func (l *idleLimit) onState(c net.Conn, state http.ConnState) {
	if state == http.StateNew {
		return // it has a few seconds to send a request
	}
	if l.set(c, state == http.StateIdle) {
		return
	}
	if l.closed != nil {
		l.closed()
	}
	l.sometimes.Do(func() {
		l.log.Warn("a client's connections are closed, because too many of them wait for requests",
			"address", c.RemoteAddr().String(), "limit", l.limit)
	})
	_ = c.Close() // the server notices when it waits for the next request
}

// set sets whether a connection is idle, and reports false if it may not be.
func (l *idleLimit) set(c net.Conn, idle bool) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	n, was := l.idle[c]
	switch {
	case was == idle:
	case was:
		delete(l.idle, c)
		if l.count[n]--; l.count[n] == 0 {
			delete(l.count, n)
		}
	default:
		n = accept.Network(c.RemoteAddr())
		if l.count[n] >= l.limit {
			return false
		}
		l.idle[c] = n
		l.count[n]++
	}
	return true
}
