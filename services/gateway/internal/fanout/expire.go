package fanout

import (
	"cmp"
	"encoding/json"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/rafflecast/rafflecast/services/gateway/internal/odds"
	"github.com/rafflecast/rafflecast/services/gateway/internal/sse"
)

// due returns when something is due for a connection.
func (s *shard) due(c *conn) time.Duration {
	if c.blocked {
		return min(c.endsAt, c.lastWrite+s.hub.cfg.WriteTimeout)
	}
	return min(c.endsAt, c.lastWrite+time.Duration(c.interval)*time.Millisecond)
}

// expire does what is due for a connection, and puts it back into the wheel.
func (s *shard) expire(c *conn) {
	switch {
	case c.blocked && s.now-c.lastWrite >= s.hub.cfg.WriteTimeout:
		s.remove(c, Stalled)
	case s.now >= c.endsAt:
		s.closeExpired(c)
	case !c.blocked && s.due(c) <= s.now:
		s.restoreUserTimeout(c)
		s.settle(c, false, c.send(s.heartbeat(), s.now))
	}
	if !c.removed {
		s.wheel.add(c, s.due(c))
	}
}

// closeExpired ends a connection whose time is over. If it is drained together with
// others, the client is told its own wait, so that they do not all come back at once.
func (s *shard) closeExpired(c *conn) {
	if (c.ending == GoingAway || c.ending == Rebalanced) && !c.blocked {
		cfg := &s.hub.cfg
		farewell := sse.AppendRetry(nil, cfg.RetryMin+rand.N(cfg.RetryMax-cfg.RetryMin+1))
		_, _ = c.put(append(farewell, '\n')) // as much as it takes
	}
	s.remove(c, c.ending)
}

// drain spreads the end of all connections over a window.
func (s *shard) drain(window time.Duration) {
	s.wheel.each(func(c *conn) {
		at := s.now + rand.N(window+1)
		if at < c.endsAt {
			c.endsAt, c.ending = at, GoingAway
			s.wheel.reschedule(c, at)
		}
	})
}

// endOldest spreads the end of the n connections that have the least time left, which
// have lasted longest, over a window.
func (s *shard) endOldest(n int, window time.Duration) {
	var lasting []*conn
	s.wheel.each(func(c *conn) {
		if c.ending == MaxLifetime {
			lasting = append(lasting, c)
		}
	})
	slices.SortFunc(lasting, func(a, b *conn) int { return cmp.Compare(a.endsAt, b.endsAt) })
	for _, c := range lasting[:min(n, len(lasting))] {
		c.endsAt, c.ending = min(c.endsAt, s.now+rand.N(window+1)), Rebalanced
		s.wheel.reschedule(c, c.endsAt)
	}
}

// heartbeat returns a heartbeat, encoded once for all connections that need one in
// the same turn.
func (s *shard) heartbeat() []byte {
	if s.beat == nil || s.beatAt != s.now {
		s.beat, s.beatAt = AppendHeartbeat(nil), s.now
	}
	return s.beat
}

// AppendHeartbeat appends the event that is sent after a silence.
func AppendHeartbeat(b []byte) []byte {
	data, _ := json.Marshal(map[string]string{"at": time.Now().UTC().Format(odds.TimeFormat)})
	return sse.AppendEvent(b, "", "heartbeat", data)
}
