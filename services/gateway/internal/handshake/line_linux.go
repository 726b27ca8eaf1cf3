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
	// servedPerCore is how many connections of the line are served in a second, by each core:
	// all in all, one costs some 80 µs.
	servedPerCore = 500
	// longestWait bounds the line by how long its last connection waits.
	longestWait = 4 * time.Second
	// lookInterval is how long the line may wait for another connection.
	lookInterval = 2 * time.Millisecond
)

// line has the connections of addresses that connect often, which are served in turn at a
// bounded rate. Others come before them: a crowd that reconnects as fast as it is served
// would take all of the processors. Its methods are for one goroutine.
type line struct {
	waiting []connection
	count   *atomic.Int64 // of them
	isTurn  func() bool   // whether it is the turn of another one
	longest int
	limited bool // there is a deadline for accepting
}

func newLine(count *atomic.Int64) line {
	perSecond := servedPerCore * runtime.GOMAXPROCS(0)
	return line{
		count: count, isTurn: rate.NewLimiter(rate.Limit(perSecond), max(1, perSecond/100)).Allow,
		longest: perSecond * int(longestWait/time.Second),
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

// next removes the first connection, if its turn has come.
func (l *line) next() (_ connection, ok bool) {
	if len(l.waiting) == 0 || !l.isTurn() {
		return connection{}, false
	}
	c := l.waiting[0]
	if l.waiting = l.waiting[1:]; len(l.waiting) == 0 {
		l.waiting = nil
	}
	l.count.Add(-1)
	return c, true
}

// limit has waiting for another connection end soon, if the line needs it.
func (l *line) limit(listening *os.File) {
	var deadline time.Time
	switch {
	case len(l.waiting) > 0:
		deadline, l.limited = time.Now().Add(lookInterval), true
	case l.limited:
		l.limited = false
	default:
		return
	}
	_ = listening.SetReadDeadline(deadline) // it fails if the socket is closed, as accepting will
}

// close closes all that wait.
func (l *line) close() {
	for _, c := range l.waiting {
		_ = unix.Close(c.fd)
	}
	l.count.Add(-int64(len(l.waiting)))
	l.waiting = nil
}
