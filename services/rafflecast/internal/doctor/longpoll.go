package doctor

import (
	"context"
	"net/http"
	"time"
)

// The bounds of ?wait=, and the time that is left for its answer to arrive.
const (
	minWait    = time.Second
	maxWait    = 60 * time.Second
	waitMargin = 500 * time.Millisecond
)

// maxLongPolls bounds the number of requests if the odds change all the time.
const maxLongPolls = 20

// measureLongPoll sends requests that the gateway answers only when the odds
// change. Since nothing is sent until then, unlike on a stream with its
// heartbeats, this reaches the limits that proxies set for silence.
func (d *doctor) measureLongPoll(ctx context.Context) {
	p := &d.m.longPoll
	tag := d.m.plain.header.Get("Etag")
	deadline, _ := ctx.Deadline()
	for range maxLongPolls {
		wait := min(maxWait, time.Until(deadline)-waitMargin).Truncate(100 * time.Millisecond)
		if wait < minWait || wait < p.answeredAfter {
			return
		}
		r := d.get(ctx, d.rafflePath+"/odds?wait="+wait.String(), http.Header{"If-None-Match": {tag}})
		switch {
		case ctx.Err() != nil:
			return
		case r.status == http.StatusNotModified:
			p.answeredAfter = max(p.answeredAfter, r.took)
			p.early = r.took < wait/2
			return
		case r.status == http.StatusOK && r.err == nil:
			p.answeredAfter = max(p.answeredAfter, r.took)
			if p.early = r.header.Get("Etag") == tag; p.early {
				return
			}
			tag = r.header.Get("Etag")
		default:
			p.fail(r)
			return
		}
	}
}

const (
	// minCut is the shortest time after which a failure is taken for a limit on
	// silence.
	minCut = 500 * time.Millisecond

	// statusCloudflareTimeout is Cloudflare's status for an origin that is too slow.
	statusCloudflareTimeout = 524
)

// fail records a response that is not a gateway's answer to a long poll, and
// whether it means that a proxy ended the wait.
func (p *longPoll) fail(r response) {
	p.failure = r
	switch r.status {
	case 0,
		http.StatusOK,
		http.StatusRequestTimeout,
		http.StatusBadGateway,
		http.StatusGatewayTimeout,
		statusCloudflareTimeout:
		if r.took > minCut && !r.fromGateway() {
			p.cutAfter = r.took
		}
	}
}
