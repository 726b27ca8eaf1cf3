package fanout

import (
	"slices"
	"strconv"
	"time"

	"github.com/rafflecast/rafflecast/services/gateway/internal/odds"
	"github.com/rafflecast/rafflecast/services/gateway/internal/sse"
)

// Reset is why a client is sent a reset event of a raffle: what it has been sent may
// not lead to what follows, which is the newest.
type Reset uint8

// The reasons. Zero means that there is no reset.
const (
	ResetGone        Reset = iota + 1 // the updates since the last event are gone
	ResetTooMany                      // there are too many of them
	ResetNotNamed                     // the last event id names other raffles, but not this one
	ResetAnotherLife                  // the raffle is another one than the client has seen
	ResetAhead                        // the client has a version that nobody else knows
)

var resetTexts = [...]string{
	ResetGone:        "the updates since your last event are gone",
	ResetTooMany:     "there were too many updates since your last events",
	ResetNotNamed:    "your last event id does not name this raffle",
	ResetAnotherLife: "this is another raffle than the one you have seen",
	ResetAhead:       "your last event is not known here",
}

// appendReset appends the event that tells a client of a reset.
func appendReset(b []byte, raffleID int64, why Reset) []byte {
	data := strconv.AppendInt([]byte(`{"id":`), raffleID, 10)
	data = append(append(append(data, `,"reason":"`...), resetTexts[why]...), `"}`...)
	return sse.AppendEvent(b, "", "reset", data)
}

// encoded returns an update as this connection is sent it. Unless isShared, the bytes
// are in buf or, if the connection keeps its handler, in memory of their own.
func (c *conn) encoded(sub *Subscription, u *odds.Update, buf *[]byte) (frame []byte, isShared bool) {
	if len(c.subs) == 1 && sub.resetBefore(u) == 0 {
		return u.Frame, true
	}
	if c.fd < 0 {
		buf = new([]byte)
	}
	*buf = c.appendUpdate((*buf)[:0], sub, u)
	return *buf, false
}

// appendUpdate appends an update as this connection is sent it: after a reset if there
// must be one, and if it has several raffles, with an id that names them all.
func (c *conn) appendUpdate(b []byte, sub *Subscription, u *odds.Update) []byte {
	if why := sub.resetBefore(u); why != 0 {
		b = appendReset(b, u.RaffleID, why)
	}
	if len(c.subs) == 1 {
		return append(b, u.Frame...)
	}
	b = append(b, "id: "...)
	b = c.appendIDs(b, u)
	b = append(b, '\n')
	return append(b, u.Body...)
}

// appendIDs appends the ids of all versions that a client has of several raffles once
// it has u. A raffle whose life has just changed is left out: if the client comes back
// without it, it is sent the newest.
func (c *conn) appendIDs(b []byte, u *odds.Update) []byte {
	isFirst := true
	for i := range c.subs {
		sub := &c.subs[i]
		epoch, version := u.Epoch, u.Version
		if sub.RaffleID != u.RaffleID {
			current := sub.topic.conflation.current
			if sub.LastSent == 0 || current == nil || current.Life != sub.Life {
				continue
			}
			epoch, version = current.Epoch, sub.LastSent
		}
		if !isFirst {
			b = append(b, ',')
		}
		b, isFirst = odds.AppendID(b, sub.RaffleID, epoch, version), false
	}
	return b
}

// keep makes bytes that were not sent the rest of a frame.
func (c *conn) keep(b []byte, isShared bool) {
	switch {
	case len(b) == 0:
		c.rest = nil
	case isShared || c.fd < 0:
		c.rest = b
	default:
		c.rest = append([]byte(nil), b...)
	}
}

// aheadConn is a connection whose client has come back with a version that was not
// known here, and when that must be so.
type aheadConn struct {
	conn *conn
	at   time.Duration
}

// correctAhead sends clients that have been ahead of what is known here for the time
// of a heartbeat a reset and what is known. The connections are in the order in which
// they came.
func (s *shard) correctAhead() {
	n := 0
	for n < len(s.ahead) && s.ahead[n].at <= s.now {
		s.correct(s.ahead[n].conn)
		n++
	}
	s.ahead = slices.Delete(s.ahead, 0, n)
}

func (s *shard) correct(c *conn) {
	if c.removed {
		return
	}
	for i := range c.subs {
		sub := &c.subs[i]
		if current := sub.topic.conflation.current; current != nil && sub.isAheadOf(current) {
			sub.LastSent, sub.Life, sub.Final, sub.Reset = 0, 0, false, ResetAhead
			c.lagging = true
		}
	}
	if !c.blocked {
		s.resume(c)
	}
}
