package feed

import (
	"context"
	"errors"
	"time"

	"github.com/rafflecast/rafflecast/services/internal/natsconn"
)

const (
	// checkTimeout bounds a check.
	checkTimeout = 3 * time.Second
	// absentInterval is how long raffles that the stream lacks are left in peace before
	// the next look.
	absentInterval = 10*time.Second + 100*time.Millisecond
)

// checks are the checks of the stream's end. One goroutine uses them.
type checks struct {
	feed    *Feed
	leaver  *natsconn.Leaver
	lastEnd streamEnd // at the last check that was answered
	// lookForAbsent is when a snapshot is due because raffles were absent; zero: never.
	lookForAbsent time.Time
}

// check requests a snapshot if the stream is another one, is shorter than what was
// received, had an end at the check before that has not been received even now, was
// filled since the last snapshot, or lacks raffles. If checks fail for too long, it
// leaves the server.
func (c *checks) check(ctx context.Context) {
	f := c.feed
	before := f.received()
	ctx, cancel := context.WithTimeout(ctx, min(checkTimeout, f.requestTimeout))
	defer cancel()
	end, err := f.streamEnd(ctx)
	if err != nil && !errors.Is(err, errNoStream) {
		c.failed(err)
		return
	}
	c.leaver.Answered()
	if err != nil { // the stream was deleted, and will be created again
		f.complete.Store(false)
		return
	}
	after := f.received()
	switch {
	case !end.created.Equal(after.created):
		f.complete.Store(false)
		f.requestSnapshot(AnotherStream)
	case end.sequence < before.sequence:
		f.mu.Lock()
		f.position.stream++
		f.position.sequence, f.position.live = end.sequence, min(f.position.live, end.sequence)
		f.mu.Unlock()
		f.requestSnapshot(ShorterStream)
	case c.lastEnd.created.Equal(end.created) && c.lastEnd.sequence > after.sequence:
		f.requestSnapshot(MissedTail)
	case end.reconciled && !f.Complete():
		f.requestSnapshot(Reconciled)
	case end.reconciled && c.isAbsentDue(end):
		f.requestSnapshot(Absent)
	}
	c.lastEnd = end
}

// isAbsentDue reports whether raffles should be looked for that the stream lacks.
func (c *checks) isAbsentDue(end streamEnd) bool {
	if c.lookForAbsent.IsZero() {
		return end.subjects < c.feed.cfg.Cache.Len() && c.lastEnd.subjects == end.subjects
	}
	return !time.Now().Before(c.lookForAbsent)
}

// snapshotTaken notes how many raffles a snapshot lacked.
func (c *checks) snapshotTaken(absent int) {
	switch {
	case absent == 0:
		c.lookForAbsent = time.Time{}
	case c.lookForAbsent.IsZero() || !time.Now().Before(c.lookForAbsent):
		c.lookForAbsent = time.Now().Add(absentInterval)
	}
}

// failed notes that a check was not answered.
func (c *checks) failed(err error) {
	if f := c.feed; f.Connected() && f.cfg.CheckFailed != nil {
		f.cfg.CheckFailed()
	}
	c.leaver.Failed(err)
}
