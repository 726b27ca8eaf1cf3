package doctor

import (
	"fmt"
	"net/http"
	"time"

	"github.com/rafflecast/rafflecast/services/rafflecast/internal/sseclient"
)

// oddsTolerance is how late odds may be: participation publishes within 2 s what a
// crash left unpublished.
const oddsTolerance = 3 * time.Second

// checkBuffering reports whether events arrive when they are sent.
func (d *diagnosis) checkBuffering() finding {
	const check = "buffering"
	s := d.first()
	slow := d.m.plain.took + d.limits.tolerance
	plain := "a plain response takes " + span(d.m.plain.took)
	switch {
	case s.head.status != 0 && s.head.status != http.StatusOK && s.head.took < slow:
		return undecided(check, "the stream is refused: %s", s.head.missing())
	case s.head.status == 0 && (s.ending != stillOpen || s.life == 0) && s.life < slow:
		return undecided(check, "the stream did not begin: %v", s.head.err)
	case !s.open():
		return d.fault(check, fmt.Sprintf("nothing of the stream arrived in %s; %s", span(s.life), plain), buffers)
	case s.events[0].after > slow:
		return d.fault(check, fmt.Sprintf("the first event arrived after %s; %s", span(s.events[0].after), plain), buffers)
	}
	if delay, what := d.longestDelay(); delay > 0 {
		return d.fault(check, fmt.Sprintf("%s arrived %s after it was sent", what, span(delay)), buffers)
	}
	if silence := d.missedHeartbeat(); silence > 0 {
		return d.fault(
			check,
			fmt.Sprintf("silent for %s, though a gateway sends a heartbeat every %v (if yours does not, set --heartbeat)",
				span(silence), d.cfg.Heartbeat),
			buffers,
		)
	}
	first := "the first event arrived after " + span(s.events[0].after)
	if n := d.laterEvents(); n > 0 {
		return passed(check, "%s, %d more when they were sent", first, n)
	}
	return undecided(check, "%s, but no other while the stream was open", first)
}

// laterEvents counts the events after the first of each stream.
func (d *diagnosis) laterEvents() (n int) {
	for i := range d.m.streams {
		n += max(0, len(d.m.streams[i].events)-1)
	}
	return n
}

// longestDelay returns by how much an event arrived too late, and of which kind it
// was; 0 if none did.
func (d *diagnosis) longestDelay() (delay time.Duration, what string) {
	if delay := d.spread(sseclient.HeartbeatEvent); delay > d.limits.tolerance {
		return delay, "a heartbeat"
	}
	if delay := d.spread(sseclient.OddsEvent); delay > oddsTolerance {
		return delay, "an event"
	}
	return 0, ""
}

// spread returns the difference between the longest and the shortest time that
// events of a name took to arrive. Since clocks differ, neither time by itself is
// known. They are compared within a stream, because another stream may come from
// another gateway with another clock. A stream's first event does not count: it
// may have been sent long before.
func (d *diagnosis) spread(name string) (widest time.Duration) {
	for i := range d.m.streams {
		var least, most time.Duration
		n := 0
		for k, e := range d.m.streams[i].events {
			if k == 0 || e.name != name || e.sentAt.IsZero() {
				continue
			}
			took := e.receivedAt.Sub(e.sentAt)
			if n++; n == 1 {
				least, most = took, took
			}
			least, most = min(least, took), max(most, took)
		}
		widest = max(widest, most-least)
	}
	return widest
}

// missedHeartbeat returns the longest silence of a stream in which a heartbeat
// must have been sent, 0 if there was none.
func (d *diagnosis) missedHeartbeat() (longest time.Duration) {
	for i := range d.m.streams {
		s := &d.m.streams[i]
		if s.open() && s.ending != raffleEnded {
			longest = max(longest, s.longestSilence, s.finalSilence())
		}
	}
	if longest > d.cfg.silence()+d.limits.tolerance {
		return longest
	}
	return 0
}
