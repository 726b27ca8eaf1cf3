package doctor

import (
	"fmt"
	"net/http"
	"time"
)

// lateOdds is how late odds may come: participation publishes what a crash left
// unpublished within 2 s.
const lateOdds = 3 * time.Second

// buffering tells whether events come when they are sent.
func (j *judge) buffering() finding {
	const check = "buffering"
	s := j.first()
	plain := "a plain answer takes " + span(j.m.plain)
	switch {
	case s.head.status != 0 && s.head.status != http.StatusOK && s.head.took < j.m.plain+j.cfg.slack:
		return unsure(check, "the stream is refused: %s", s.head.missing())
	case s.head.status == 0 && (s.ending != watching || s.life == 0) && s.life < j.m.plain+j.cfg.slack:
		return unsure(check, "the stream did not begin: %v", s.head.err)
	case !s.open():
		return j.fault(check, fmt.Sprintf("nothing of the stream came in %s; %s", span(s.life), plain), holds)
	case s.events[0].at > j.m.plain+j.cfg.slack:
		return j.fault(check, fmt.Sprintf("the first event came after %s; %s", span(s.events[0].at), plain), holds)
	}
	if late, of := j.latest(); late > 0 {
		return j.fault(check, fmt.Sprintf("%s came %s after it was sent", of, span(late)), holds)
	}
	if missed := j.missed(); missed > 0 {
		return j.fault(check, fmt.Sprintf("silent for %s, though a gateway sends a heartbeat every %v (if yours does not, say so with --heartbeat)", span(missed), j.cfg.Heartbeat), holds)
	}
	first := fmt.Sprintf("the first event came after %s", span(s.events[0].at))
	if n := j.later(); n > 0 {
		return fine(check, "%s, %d more as they were sent", first, n)
	}
	return unsure(check, "%s, but no other while the stream lived", first)
}

// later counts the events that came after the first of each stream.
func (j *judge) later() (n int) {
	for i := range j.m.watched {
		n += max(0, len(j.m.watched[i].events)-1)
	}
	return n
}

// latest returns by how much an event came too late, and which kind it was of; 0
// where none did. Clocks differ, so the quickest of each kind shows by how much;
// what a stream opens with is as old as it is.
func (j *judge) latest() (late time.Duration, kind string) {
	for _, kind := range []string{"heartbeat", oddsEvent} {
		bound, name := j.cfg.slack, "a heartbeat"
		if kind == oddsEvent {
			bound, name = lateOdds, "an event"
		}
		if d := j.spread(kind); d > bound {
			return d, name
		}
	}
	return 0, ""
}

// spread returns how much later the slowest event of a kind came than the
// quickest, on one stream: another may be of another gateway, with another clock.
func (j *judge) spread(kind string) (widest time.Duration) {
	for i := range j.m.watched {
		var low, high time.Duration
		n := 0
		for k, e := range j.m.watched[i].events {
			if k == 0 || e.name != kind || e.sent.IsZero() {
				continue
			}
			took := e.came.Sub(e.sent)
			if n++; n == 1 {
				low, high = took, took
			}
			low, high = min(low, took), max(high, took)
		}
		widest = max(widest, high-low)
	}
	return widest
}

// missed returns the longest silence of a stream in which a heartbeat must have
// been sent, 0 where there is none.
func (j *judge) missed() (longest time.Duration) {
	for i := range j.m.watched {
		s := &j.m.watched[i]
		if s.open() && s.ending != finished {
			longest = max(longest, s.longest, s.silence())
		}
	}
	if longest > j.cfg.silence()+j.cfg.slack {
		return longest
	}
	return 0
}
