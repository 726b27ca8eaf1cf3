package doctor

import (
	"fmt"
	"net/http"
	"slices"
	"time"
)

// clientWait is the ?wait= of clients that cannot have streams. With the default
// heartbeat, a limit on silence above it does no harm.
const clientWait = 25 * time.Second

// checkTruncation reports whether streams and long polls last as long as they
// should.
func (d *diagnosis) checkTruncation() finding {
	const check = "idle timeout"
	cuts := d.truncatedStreams()
	p := &d.m.longPoll
	switch {
	case len(cuts) > 0:
		return d.truncation(check, cuts)
	case p.cutAfter > 0 && p.cutAfter < d.neededSilence():
		return d.longPollCut(check)
	case !d.first().open():
		return undecided(check, "no stream began that could be watched")
	}
	s := d.longestLived()
	if s.ending == raffleEnded {
		return undecided(check, "the raffle ended after %s: choose another with --raffle", span(s.life))
	}
	silence := max(s.longestSilence, s.finalSilence())
	text := fmt.Sprintf("the stream lasted all of %s, silent for up to %s", span(s.life), span(silence))
	if max(silence, p.answeredAfter, p.cutAfter) < d.cfg.Heartbeat*8/10 {
		return undecided(
			check,
			"%s, too short to reach a limit: choose a quiet raffle with --raffle, or watch longer with --watch",
			text,
		)
	}
	switch {
	case p.cutAfter > 0:
		text += fmt.Sprintf("; a long poll is cut after %s (%s), which no stream of a gateway reaches: use a shorter ?wait=",
			span(p.cutAfter), p.failure.failure())
	case p.early:
		text += "; a long poll is answered at once, perhaps from a cache"
	case p.failure.status > 0 || p.failure.err != nil:
		text += "; a long poll fails: " + p.failure.failure()
	case p.answeredAfter > 0:
		text += fmt.Sprintf("; a long poll was answered after %s of silence", span(p.answeredAfter))
	}
	return passed(check, "%s", text)
}

// neededSilence returns the silence that proxies must bear.
func (d *diagnosis) neededSilence() time.Duration {
	return max(clientWait, d.cfg.silence()+d.limits.tolerance)
}

// truncatedStreams returns the streams that ended without notice, and too early
// for the gateway's own limit, which is drawn per connection, up to 20 % lower.
func (d *diagnosis) truncatedStreams() (cuts []*stream) {
	for i := range d.m.streams {
		s := &d.m.streams[i]
		if s.head.status == http.StatusOK && s.ending == truncated && s.life < d.cfg.Lifetime*8/10-d.limits.tolerance {
			cuts = append(cuts, s)
		}
	}
	return cuts
}

func (d *diagnosis) longestLived() *stream {
	best := d.first()
	for i := range d.m.streams {
		if s := &d.m.streams[i]; s.life > best.life {
			best = s
		}
	}
	return best
}

// truncation is the finding that streams were truncated.
func (d *diagnosis) truncation(check string, cuts []*stream) finding {
	s := cuts[0]
	text := fmt.Sprintf("the stream was cut after %s, silent for %s", span(s.life), span(s.finalSilence()))
	if len(cuts) > 1 {
		text += fmt.Sprintf(" (%d times in %s)", len(cuts), span(d.watchedFor()))
	}
	if s.err != nil {
		text += fmt.Sprintf(": %v", s.err)
	}
	likely := slices.Concat(d.products, productsThatCut(s.finalSilence(), s.life))
	return finding{check: check, verdict: faulty, text: text, advice: adviceFor(likely, d.limitFaults(cuts)...)}
}

func (d *diagnosis) watchedFor() (all time.Duration) {
	for i := range d.m.streams {
		all += d.m.streams[i].life
	}
	return all
}

// limitFaults distinguishes a limit on silence from one on the age of streams.
func (d *diagnosis) limitFaults(cuts []*stream) []fault {
	var lives, silences []time.Duration
	onlyFirst := true // nothing arrived after a stream's first event, so both limits would look alike
	for _, s := range cuts {
		lives, silences = append(lives, s.life), append(silences, s.finalSilence())
		onlyFirst = onlyFirst && len(s.events) <= 1
	}
	cutAfter := d.m.longPoll.cutAfter
	switch {
	case onlyFirst, cutAfter > 0 && near(silences[0], cutAfter):
		return []fault{limitsSilence}
	case len(cuts) > 1 && alike(silences) && !alike(lives):
		return []fault{limitsSilence}
	case len(cuts) > 1 && alike(lives), slices.Contains(productsThatCut(0, lives[0]), envoy):
		return []fault{limitsAge}
	}
	return []fault{limitsSilence, limitsAge}
}

// longPollCut is the finding that too little silence is allowed, though no stream
// was cut, since heartbeats came just in time.
func (d *diagnosis) longPollCut(check string) finding {
	p := &d.m.longPoll
	text := fmt.Sprintf("a long poll was cut after %s (%s); proxies should allow %s of silence, for heartbeats and ?wait=",
		span(p.cutAfter), p.failure.failure(), span(d.neededSilence()))
	likely := slices.Concat(d.products, productsThatCut(p.cutAfter, p.cutAfter))
	return finding{check: check, verdict: faulty, text: text, advice: adviceFor(likely, limitsSilence)}
}

func alike(times []time.Duration) bool { return near(slices.Max(times), slices.Min(times)) }

// near reports whether two durations are equal but for what clocks and networks
// add.
func near(a, b time.Duration) bool {
	return (a - b).Abs() <= max(300*time.Millisecond, b/50)
}
