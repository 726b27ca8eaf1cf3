package handshake

import (
	"os"
	"runtime"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
	"golang.org/x/time/rate"
)

const (
	// servedPerCore is how many connections that wait are served in a second, by each core:
	// all in all, one costs some 80 µs, and with TLS some 400 µs.
	servedPerCore = 500
	// longestWait bounds a line by how long its last connection waits.
	longestWait = 4 * time.Second
	// lookInterval bounds how long accepting waits for another connection while some wait for
	// their turn.
	lookInterval = 2 * time.Millisecond
)

// lines have the connections that are served in turn, at a bounded rate for all of them: a
// crowd that connects as fast as it is served would take all of the processors. Their
// methods are for one goroutine.
type lines struct {
	others   line        // whose address does not connect often, and which come first
	frequent line        // whose address does
	isTurn   func() bool // whether it is the turn of another one
	limited  bool        // there is a deadline for accepting
}

// line is one of the two lines.
type line struct {
	waiting []connection
	count   *atomic.Int64 // of those in both lines
	longest int
}

func newLines(count *atomic.Int64) lines {
	perSecond := servedPerCore * runtime.GOMAXPROCS(0)
	empty := line{count: count, longest: perSecond * int(longestWait/time.Second)}
	return lines{
		others: empty, frequent: empty,
		isTurn: rate.NewLimiter(rate.Limit(perSecond), max(1, perSecond/100)).Allow,
	}
}

// add has a connection wait for its turn, or closes it if too many do.
func (l *line) add(c connection) {
	if len(l.waiting) >= l.longest {
		_ = unix.Close(c.fd)
		return
	}
	l.waiting = append(l.waiting, c)
	l.count.Add(1)
}

// first removes the first connection.
func (l *line) first() connection {
	c := l.waiting[0]
	if l.waiting = l.waiting[1:]; len(l.waiting) == 0 {
		l.waiting = nil
	}
	l.count.Add(-1)
	return c
}

// areEmpty reports whether no connection waits.
func (l *lines) areEmpty() bool { return len(l.others.waiting)+len(l.frequent.waiting) == 0 }

// next removes the connection whose turn has come, if it is anybody's.
func (l *lines) next() (_ connection, ok bool) {
	switch {
	case l.areEmpty() || !l.isTurn():
		return connection{}, false
	case len(l.others.waiting) > 0:
		return l.others.first(), true
	default:
		return l.frequent.first(), true
	}
}

// limit has accepting end soon while connections wait for their turn.
func (l *lines) limit(listening *os.File) {
	var deadline time.Time
	switch {
	case !l.areEmpty():
		deadline, l.limited = time.Now().Add(lookInterval), true
	case l.limited:
		l.limited = false
	default:
		return
	}
	_ = listening.SetReadDeadline(deadline) // it fails if the socket is closed, as accepting will
}

// close closes all that wait.
func (l *lines) close() {
	for _, line := range []*line{&l.others, &l.frequent} {
		for len(line.waiting) > 0 {
			_ = unix.Close(line.first().fd)
		}
	}
}
