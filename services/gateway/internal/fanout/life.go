package fanout

import (
	"encoding/json"
	"math/rand/v2"
	"time"

	"github.com/rafflecast/rafflecast/services/gateway/internal/odds"
	"github.com/rafflecast/rafflecast/services/gateway/internal/sse"
)

// add begins to serve a connection, with what it opens with.
func (s *shard) add(c *conn) {
	s.conns++
	c.silentSince = s.now
	s.wheel.add(c, s.due(c))
	s.join(c)
	if c.fd >= 0 {
		if err := s.watchSocket(c); err != nil {
			s.remove(c, Failed)
			return
		}
	}
	s.writable(c)
}

// watchSocket asks for the events of a detached connection.
func (s *shard) watchSocket(c *conn) error {
	if n := int(c.fd) + 1 - len(s.sockets); n > 0 {
		s.sockets = append(s.sockets, make([]*conn, n)...)
	}
	s.sockets[c.fd] = c
	return s.poller.add(c.fd)
}

// remove ends a connection. It may be called twice.
func (s *shard) remove(c *conn, why Reason) {
	if c.gone {
		return
	}
	c.gone = true
	s.unblock(c)
	s.part(c)
	s.wheel.remove(c)
	s.conns--
	if c.fd >= 0 {
		s.sockets[c.fd] = nil
		closeSocket(c.fd, why == ClientEnd)
	} else {
		c.out.close()
	}
	c.rest = nil
	s.stats.ended(why)
	if c.done != nil {
		c.done(why)
	}
	s.hub.exit()
}

// hear acts on what a port says.
func (s *shard) hear(c *conn, said signal) {
	switch {
	case c.gone:
	case said&isGone != 0:
		s.remove(c, ClientEnd)
	case c.full:
		s.writable(c)
	}
}

// event acts on what the poller says of a socket.
func (s *shard) event(fd int32, what events) {
	if int(fd) >= len(s.sockets) || s.sockets[fd] == nil {
		return // closed earlier in this turn
	}
	c := s.sockets[fd]
	if what&readable != 0 {
		if why := discard(c); why != "" {
			s.remove(c, why)
			return
		}
	}
	if what&hungUp != 0 {
		s.remove(c, ClientEnd)
		return
	}
	if what&takesMore != 0 && c.full {
		s.writable(c)
	}
}

// due returns when a connection must be looked at next.
func (s *shard) due(c *conn) time.Duration {
	at := c.endsAt
	if c.full {
		at = min(at, c.blockedSince+s.hub.cfg.WriteTimeout)
	} else if !c.quiet {
		at = min(at, c.silentSince+time.Duration(c.interval)*time.Millisecond)
	}
	return at
}

// look does what is due for a connection, and returns when to look again.
func (s *shard) look(c *conn) {
	switch {
	case c.full && s.now-c.blockedSince >= s.hub.cfg.WriteTimeout:
		s.remove(c, Stalled)
		return
	case s.now >= c.endsAt:
		s.dismiss(c)
		return
	case !c.full && !c.quiet && s.due(c) <= s.now:
		s.send(c, s.heartbeat())
	}
	if !c.gone {
		s.wheel.add(c, s.due(c))
	}
}

// dismiss ends a connection whose time is over. One that is sent away with many
// others is told a wait of its own, so that they don't come back together.
func (s *shard) dismiss(c *conn) {
	if !c.full && !c.quiet {
		var farewell []byte
		if c.ending == SentAway {
			cfg := &s.hub.cfg
			farewell = sse.AppendRetry(nil, cfg.RetryMin+rand.N(cfg.RetryMax-cfg.RetryMin+1))
		}
		if farewell = c.appendIDs(farewell); len(farewell) > 0 {
			_, _ = c.write(append(farewell, '\n')) // as much as it takes
		}
	}
	s.remove(c, c.ending)
}

// leave spreads the end of all connections over a window.
func (s *shard) leave(window time.Duration) {
	s.wheel.each(func(c *conn) {
		at := s.now + rand.N(window+1)
		if at < c.endsAt {
			c.endsAt, c.ending = at, SentAway
			s.wheel.sooner(c, at)
		}
	})
}

// heartbeat returns the event that breaks a silence, encoded once for all who
// need one in the same turn.
func (s *shard) heartbeat() []byte {
	if s.beat == nil || s.beatAt != s.now {
		s.beat, s.beatAt = Heartbeat(nil), s.now
	}
	return s.beat
}

// Heartbeat appends the event that breaks a silence.
func Heartbeat(b []byte) []byte {
	data, _ := json.Marshal(map[string]string{"at": time.Now().UTC().Format(odds.TimeFormat)})
	return sse.AppendEvent(b, "", "heartbeat", data)
}
