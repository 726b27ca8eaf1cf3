package doctor

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
)

// verdict is what is thought of one thing.
type verdict int

const (
	ok verdict = iota
	unknown
	faulty
)

func (v verdict) String() string { return [...]string{"ok", "unknown", "FAULT"}[v] }

// finding is one line of what was found.
type finding struct {
	check   string
	verdict verdict
	what    string    // was measured
	try     []setting // the likely first
}

// diagnose makes findings of measurements. It is pure.
func diagnose(cfg *Config, m *measurements) []finding {
	j := judge{cfg: cfg, m: m, seen: seen(m)}
	return []finding{j.reach(), j.buffering(), j.compression(), j.idle(), j.resumption(), j.many(), j.errors()}
}

// judge judges one run.
type judge struct {
	cfg  *Config
	m    *measurements
	seen []product
}

// first returns the stream that was watched first; the empty one where none was.
func (j *judge) first() *stream {
	if len(j.m.watched) == 0 {
		return &stream{}
	}
	return &j.m.watched[0]
}

func fine(check, format string, args ...any) finding {
	return finding{check: check, what: fmt.Sprintf(format, args...)}
}

func unsure(check, format string, args ...any) finding {
	return finding{check: check, verdict: unknown, what: fmt.Sprintf(format, args...)}
}

func (j *judge) fault(check, what string, faults ...fault) finding {
	return finding{check: check, verdict: faulty, what: what, try: likely(j.seen, faults...)}
}

// reach tells what answers there, and whether the stream's header is ours.
func (j *judge) reach() finding {
	a := &j.m.reach
	proto := a.proto
	if a.tls != "" {
		proto += " over " + a.tls
	}
	what := fmt.Sprintf("%s by %s answers in %s", a.address, proto, span(j.m.plain))
	if len(j.seen) > 0 {
		what += fmt.Sprintf("; on the way: %s", join(j.seen))
	}
	head := &j.first().head
	if head.status != http.StatusOK {
		return fine("reach", "%s", what)
	}
	kind, cache := head.header.Get("Content-Type"), head.header.Get("Cache-Control")
	switch {
	case !strings.HasPrefix(kind, "text/event-stream"):
		return j.fault("reach", fmt.Sprintf("%s; but the stream comes as %q, not as text/event-stream", what, kind), rewrites)
	case !strings.Contains(cache, "no-transform") || !strings.Contains(cache, "no-cache"):
		return j.fault("reach", fmt.Sprintf("%s; but the stream's Cache-Control comes as %q, without no-cache, no-transform", what, cache), rewrites)
	}
	return fine("reach", "%s; no-transform arrives", what)
}

func (j *judge) compression() finding {
	const check = "compression"
	a := &j.m.packed
	if j.first().open() && errors.Is(a.err, context.DeadlineExceeded) {
		return j.fault(check, fmt.Sprintf("asked for gzip, deflate, br or zstd, nothing of the stream came in %s; a compressor holds it back", span(a.took)), packs)
	}
	if a.status != http.StatusOK {
		return unsure(check, "%s", a.missing())
	}
	if coding := a.header.Get("Content-Encoding"); coding != "" && coding != "identity" {
		return j.fault(check, fmt.Sprintf("asked for gzip, deflate, br or zstd, the stream comes as %q; a compressor holds events back", coding), packs)
	}
	return fine(check, "asked for gzip, deflate, br or zstd, the stream comes as it is")
}

func (j *judge) resumption() finding {
	const check = "Last-Event-ID"
	field, query := j.m.byField, j.m.byQuery
	again := "the event that was seen is sent again"
	switch {
	case field == dropped && query == dropped:
		return j.fault(check, again+", with the header as with ?lastEventId=: neither arrives", losesField, losesQuery)
	case field == dropped:
		return j.fault(check, again+": the header does not arrive"+map[bool]string{true: "; ?lastEventId= does"}[query == kept], losesField)
	case query == dropped:
		return j.fault(check, again+" where ?lastEventId= names it: the query does not arrive"+map[bool]string{true: "; the header does"}[field == kept], losesQuery)
	case field == kept && query == kept:
		return fine(check, "the header and ?lastEventId= both arrive")
	case !j.first().open():
		return unsure(check, "no event came that could be named")
	}
	return unsure(check, "odds came too fast, or too late, to tell: try a quiet raffle with --raffle")
}

func (j *judge) many() finding {
	const check = "many streams"
	begun, what, full := j.begun()
	switch http2 := j.m.reach.proto == "HTTP/2.0"; {
	case begun < len(j.m.crowd) && !j.first().open():
		return unsure(check, "%s, but the stream that is watched did not begin either", what)
	case full:
		return j.fault(check, what, oneAddress)
	case begun < len(j.m.crowd):
		return j.fault(check, what, fewStreams)
	case j.m.reach.tls != "" && !http2:
		return j.fault(check, what+", but without HTTP/2 a browser opens six per host at most", noHTTP2)
	case !http2:
		return fine(check, "%s; without TLS there is no HTTP/2, so a browser opens six per host at most", what)
	default:
		return fine(check, "%s, and HTTP/2", what)
	}
}

// begun returns how many streams of the crowd began, that and what the others
// were told in words, and whether the gateway found one client to have too many.
func (j *judge) begun() (n int, what string, full bool) {
	refused := map[string]int{}
	for i := range j.m.crowd {
		s := &j.m.crowd[i]
		if s.open() {
			n++
			continue
		}
		refused[s.head.missing()]++
		full = full || (s.head.status == http.StatusTooManyRequests && s.head.ours())
	}
	parts := []string{fmt.Sprintf("%d of %d at once", n, len(j.m.crowd))}
	for _, why := range slices.Sorted(maps.Keys(refused)) {
		parts = append(parts, fmt.Sprintf("%d: %s", refused[why], why))
	}
	return n, strings.Join(parts, "; "), full
}

func (j *judge) errors() finding {
	const check = "errors"
	a := &j.m.unknown
	switch {
	case a.status == 0:
		return unsure(check, "%s", a.missing())
	case a.status == http.StatusNotFound && a.code() == "NOT_FOUND":
		return fine(check, "404 comes with the gateway's own words")
	}
	return j.fault(check, fmt.Sprintf("an unknown raffle is answered with %d and %q instead of 404 and the gateway's JSON",
		a.status, a.header.Get("Content-Type")), replaces)
}

// missing tells why an answer is not the one that was asked for.
func (a *answer) missing() string {
	switch {
	case a.status == http.StatusOK:
		return "an answer began, and nothing came in it"
	case a.status != 0 && a.ours():
		return fmt.Sprintf("%d %s by the gateway", a.status, http.StatusText(a.status))
	case a.status != 0:
		return fmt.Sprintf("%d %s", a.status, http.StatusText(a.status))
	case a.err != nil && a.took > 0:
		return fmt.Sprintf("no answer in %s", span(a.took))
	}
	return "not measured"
}

func join(products []product) string {
	names := make([]string, len(products))
	for i, p := range products {
		names[i] = string(p)
	}
	return strings.Join(names, ", ")
}

// span writes a time as a person would.
func span(d time.Duration) string {
	switch {
	case d < 10*time.Millisecond:
		return fmt.Sprintf("%.1f ms", d.Seconds()*1000)
	case d < time.Second:
		return fmt.Sprintf("%.0f ms", d.Seconds()*1000)
	case d < time.Minute:
		return fmt.Sprintf("%.1f s", d.Seconds())
	}
	return d.Round(time.Second).String()
}
