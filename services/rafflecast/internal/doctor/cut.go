package doctor

import (
	"fmt"
	"net/http"
	"slices"
	"time"
)

// enoughWait is what a client that can't have streams asks for with ?wait=; with
// the default heartbeat, a limit above it does no harm.
const enoughWait = 25 * time.Second

// idle tells whether streams, and answers that are waited for, live as long as
// they should.
func (j *judge) idle() finding {
	const check = "idle cuts"
	cuts := j.cuts()
	p := &j.m.poll
	switch {
	case len(cuts) > 0:
		return j.cutStreams(check, cuts)
	case p.cut > 0 && p.cut < j.needed():
		return j.cutWait(check)
	case !j.first().open():
		return unsure(check, "no stream began that could be watched")
	}
	s := j.longestLived()
	if s.ending == finished {
		return unsure(check, "the raffle ended after %s: name another with --raffle", span(s.life))
	}
	silent := max(s.longest, s.silence())
	what := fmt.Sprintf("the stream lived all of %s, silent for up to %s", span(s.life), span(silent))
	if max(silent, p.quiet, p.cut) < j.cfg.Heartbeat*8/10 {
		return unsure(check, "%s, too briefly to meet a limit: name a quiet raffle with --raffle, or watch longer with --watch", what)
	}
	switch {
	case p.cut > 0:
		what += fmt.Sprintf("; an answer waited for is cut after %s (%s), which no stream of ours meets: ask for less with ?wait=", span(p.cut), p.fault.how())
	case p.early:
		what += "; ?wait= is answered at once, perhaps from a cache"
	case p.fault.status > 0 || p.fault.err != nil:
		what += fmt.Sprintf("; ?wait= fails: %s", p.fault.how())
	case p.quiet > 0:
		what += fmt.Sprintf("; an answer waited for came after %s of silence", span(p.quiet))
	}
	return fine(check, "%s", what)
}

// needed returns the silence that the way must bear.
func (j *judge) needed() time.Duration { return max(enoughWait, j.cfg.silence()+j.cfg.slack) }

// cuts returns the streams that ended without a word, and not by the gateway's
// own limit, which is drawn up to 20 % lower.
func (j *judge) cuts() (cuts []*stream) {
	for i := range j.m.watched {
		s := &j.m.watched[i]
		if s.head.status == http.StatusOK && s.ending == cut && s.life < j.cfg.Lifetime*8/10-j.cfg.slack {
			cuts = append(cuts, s)
		}
	}
	return cuts
}

func (j *judge) longestLived() *stream {
	best := j.first()
	for i := range j.m.watched {
		if s := &j.m.watched[i]; s.life > best.life {
			best = s
		}
	}
	return best
}

func (j *judge) cutStreams(check string, cuts []*stream) finding {
	s := cuts[0]
	what := fmt.Sprintf("the stream was cut after %s, silent for %s", span(s.life), span(s.silence()))
	if len(cuts) > 1 {
		what += fmt.Sprintf(" (%d times in %s)", len(cuts), span(j.watchedFor()))
	}
	if s.err != nil {
		what += fmt.Sprintf(": %v", s.err)
	}
	order := slices.Concat(j.seen, knownFor(s.silence(), s.life))
	return finding{check: check, verdict: faulty, what: what, try: likely(order, j.limit(cuts)...)}
}

func (j *judge) watchedFor() (all time.Duration) {
	for i := range j.m.watched {
		all += j.m.watched[i].life
	}
	return all
}

// limit tells a bound on silence from one on life.
func (j *judge) limit(cuts []*stream) []fault {
	var lives, silences []time.Duration
	quiet := true // all that came was what a stream opens with: it tells neither
	for _, s := range cuts {
		lives, silences = append(lives, s.life), append(silences, s.silence())
		quiet = quiet && len(s.events) <= 1
	}
	p := j.m.poll.cut
	switch {
	case quiet, p > 0 && near(silences[0], p):
		return []fault{cutsQuiet}
	case len(cuts) > 1 && alike(silences) && !alike(lives):
		return []fault{cutsQuiet}
	case len(cuts) > 1 && alike(lives), slices.Contains(knownFor(0, lives[0]), envoy):
		return []fault{cutsOld}
	}
	return []fault{cutsQuiet, cutsOld}
}

func alike(times []time.Duration) bool {
	return near(slices.Max(times), slices.Min(times))
}

// cutWait is the finding that the way bears too little silence, though no stream
// was cut: heartbeats came just in time.
func (j *judge) cutWait(check string) finding {
	p := &j.m.poll
	what := fmt.Sprintf("an answer waited for was cut after %s (%s); the way should bear %s of silence, for heartbeats and ?wait=",
		span(p.cut), p.fault.how(), span(j.needed()))
	order := slices.Concat(j.seen, knownFor(p.cut, p.cut))
	return finding{check: check, verdict: faulty, what: what, try: likely(order, cutsQuiet)}
}

// how tells in which way an answer failed.
func (a *answer) how() string {
	if a.status != 0 {
		return fmt.Sprintf("%d %s", a.status, http.StatusText(a.status))
	}
	return fmt.Sprint(a.err)
}
