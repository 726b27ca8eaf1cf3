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

// verdict is the result of a check.
type verdict int

const (
	ok verdict = iota
	unknown
	faulty
)

func (v verdict) String() string { return [...]string{"ok", "unknown", "FAULT"}[v] }

// finding is what one check found.
type finding struct {
	check   string
	verdict verdict
	text    string   // what was measured
	advice  []advice // if faulty: settings that may cause it, the most likely first
}

// diagnose derives the findings from measurements, one per check. It is pure.
func diagnose(cfg *Config, limits limits, m *measurements) []finding {
	d := diagnosis{cfg: cfg, limits: limits, m: m, products: identify(m)}
	return []finding{
		d.checkReach(), d.checkBuffering(), d.checkCompression(), d.checkTruncation(),
		d.checkResumption(), d.checkConcurrency(), d.checkErrors(),
	}
}

// diagnosis derives findings from one run's measurements.
type diagnosis struct {
	cfg      *Config
	limits   limits
	m        *measurements
	products []product // that responses name
}

// first returns the stream that was watched first, an empty one if none was.
func (d *diagnosis) first() *stream {
	if len(d.m.streams) == 0 {
		return &stream{}
	}
	return &d.m.streams[0]
}

func passed(check, format string, args ...any) finding {
	return finding{check: check, text: fmt.Sprintf(format, args...)}
}

func undecided(check, format string, args ...any) finding {
	return finding{check: check, verdict: unknown, text: fmt.Sprintf(format, args...)}
}

func (d *diagnosis) fault(check, text string, faults ...fault) finding {
	return finding{check: check, verdict: faulty, text: text, advice: adviceFor(d.products, faults...)}
}

// checkReach reports what answers at the address, and whether the headers of a
// stream are the gateway's.
func (d *diagnosis) checkReach() finding {
	const check = "reach"
	r := &d.m.plain
	proto := r.proto
	if r.tls != "" {
		proto += " over " + r.tls
	}
	text := fmt.Sprintf("%s by %s answers in %s", r.address, proto, span(r.took))
	if len(d.products) > 0 {
		text += "; proxies: " + join(d.products)
	}
	head := &d.first().head
	if head.status != http.StatusOK {
		return passed(check, "%s", text)
	}
	contentType, cache := head.header.Get("Content-Type"), head.header.Get("Cache-Control")
	switch {
	case !strings.HasPrefix(contentType, "text/event-stream"):
		return d.fault(
			check,
			fmt.Sprintf("%s; but the stream's Content-Type is %q, not text/event-stream", text, contentType),
			changedHeaders,
		)
	case !strings.Contains(cache, "no-transform") || !strings.Contains(cache, "no-cache"):
		return d.fault(
			check,
			fmt.Sprintf("%s; but the stream's Cache-Control is %q, without no-cache, no-transform", text, cache),
			changedHeaders,
		)
	}
	return passed(check, "%s; no-transform arrives", text)
}

// checkCompression reports whether something compresses streams.
func (d *diagnosis) checkCompression() finding {
	const (
		check     = "compression"
		requested = "requested with gzip, deflate, br or zstd, "
	)
	r := &d.m.compressed
	if d.first().open() && errors.Is(r.err, context.DeadlineExceeded) {
		return d.fault(
			check,
			fmt.Sprintf(requested+"nothing of the stream arrived in %s; a compressor delays it", span(r.took)),
			compresses,
		)
	}
	if r.status != http.StatusOK {
		return undecided(check, "%s", r.missing())
	}
	if coding := r.header.Get("Content-Encoding"); coding != "" && coding != "identity" {
		return d.fault(
			check,
			fmt.Sprintf(requested+"the stream arrives as %q; a compressor delays events", coding),
			compresses,
		)
	}
	return passed(check, requested+"the stream arrives uncompressed")
}

// checkResumption reports whether the id of the last event reaches the gateway.
func (d *diagnosis) checkResumption() finding {
	const (
		check = "Last-Event-ID"
		again = "an event that was received is sent again"
	)
	header, query := d.m.byHeader, d.m.byQuery
	switch {
	case header == notResumed && query == notResumed:
		return d.fault(check, again+": neither the header nor ?lastEventId= arrives", dropsHeader, dropsQuery)
	case header == notResumed && query == resumed:
		return d.fault(check, again+": the header does not arrive; ?lastEventId= does", dropsHeader)
	case header == notResumed:
		return d.fault(check, again+": the header does not arrive", dropsHeader)
	case query == notResumed && header == resumed:
		return d.fault(check, again+": ?lastEventId= does not arrive; the header does", dropsQuery)
	case query == notResumed:
		return d.fault(check, again+": ?lastEventId= does not arrive", dropsQuery)
	case header == resumed && query == resumed:
		return passed(check, "the header and ?lastEventId= both arrive")
	case !d.first().open():
		return undecided(check, "no event arrived from which to resume")
	}
	return undecided(check, "the odds changed too often, or events arrived too late: choose a quiet raffle with --raffle")
}

// checkConcurrency reports whether one client can open several streams at once.
func (d *diagnosis) checkConcurrency() finding {
	const check = "many streams"
	opened, text, refusedByGateway := d.concurrent()
	all := opened == len(d.m.concurrent)
	switch http2 := d.m.plain.proto == "HTTP/2.0"; {
	case !all && !d.first().open():
		return undecided(check, "%s, but the stream that was watched did not begin either", text)
	case refusedByGateway:
		return d.fault(check, text, sharedAddress)
	case !all:
		return d.fault(check, text, limitsConnections)
	case d.m.plain.tls != "" && !http2:
		return d.fault(check, text+", but without HTTP/2 a browser opens at most six per host", noHTTP2)
	case !http2:
		return passed(check, "%s; there is no HTTP/2 without TLS, so a browser opens at most six per host", text)
	default:
		return passed(check, "%s, and HTTP/2", text)
	}
}

// concurrent returns how many concurrent streams opened, that and what became of
// the others in words, and whether the gateway refused one as one too many of its
// client.
func (d *diagnosis) concurrent() (opened int, text string, refusedByGateway bool) {
	failures := map[string]int{}
	for i := range d.m.concurrent {
		s := &d.m.concurrent[i]
		if s.open() {
			opened++
			continue
		}
		failures[s.head.missing()]++
		if s.head.status == http.StatusTooManyRequests && s.head.fromGateway() {
			refusedByGateway = true
		}
	}
	parts := []string{fmt.Sprintf("%d of %d at once", opened, len(d.m.concurrent))}
	for _, reason := range slices.Sorted(maps.Keys(failures)) {
		parts = append(parts, fmt.Sprintf("%d: %s", failures[reason], reason))
	}
	return opened, strings.Join(parts, "; "), refusedByGateway
}

// checkErrors reports whether the gateway's errors arrive unchanged.
func (d *diagnosis) checkErrors() finding {
	const check = "errors"
	r := &d.m.notFound
	switch {
	case r.status == 0:
		return undecided(check, "%s", r.missing())
	case r.status == http.StatusNotFound && r.errorCode() == "NOT_FOUND":
		return passed(check, "the gateway's own 404 arrives")
	}
	return d.fault(check, fmt.Sprintf("for an unknown raffle the answer is %d and %q, not 404 and the gateway's JSON",
		r.status, r.header.Get("Content-Type")), changedErrors)
}

func join(products []product) string {
	names := make([]string, len(products))
	for i, p := range products {
		names[i] = string(p)
	}
	return strings.Join(names, ", ")
}

// span formats a duration for people.
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
