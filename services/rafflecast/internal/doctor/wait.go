package doctor

import (
	"context"
	"encoding/json"
	"net/http"
	"time"
)

// The bounds of ?wait=, and what is left for the way of its answer.
const (
	minWait  = time.Second
	maxWait  = 60 * time.Second
	waitRoom = 500 * time.Millisecond
)

// maxWaits bounds how often is asked, where the odds change all the time.
const maxWaits = 20

// wait asks for answers that come only when the odds change, so that nothing is
// sent for long: unlike a stream, which has heartbeats, this meets the limits of
// the way for silence.
func (d *doctor) wait(ctx context.Context) {
	p := &d.m.poll
	tag := d.m.reach.header.Get("Etag")
	until, _ := ctx.Deadline()
	for range maxWaits {
		wait := min(maxWait, time.Until(until)-waitRoom).Truncate(100 * time.Millisecond)
		if wait < minWait || wait < p.quiet {
			return
		}
		p.wait = max(p.wait, wait)
		a := d.get(ctx, d.raffle+"/odds?wait="+wait.String(), http.Header{"If-None-Match": {tag}})
		switch {
		case ctx.Err() != nil:
			return
		case a.status == http.StatusNotModified:
			p.quiet = max(p.quiet, a.took)
			p.early = a.took < wait/2
			return
		case a.status == http.StatusOK && a.err == nil:
			p.quiet = max(p.quiet, a.took)
			if p.early = a.header.Get("Etag") == tag; p.early {
				return
			}
			tag = a.header.Get("Etag")
		default:
			p.refusedOrCut(a)
			return
		}
	}
}

// gaveUp is how long a way must have waited to be taken for one that gave up.
const gaveUp = 500 * time.Millisecond

// refusedOrCut tells a way that gave up from an answer of another kind.
func (p *poll) refusedOrCut(a answer) {
	p.fault = a
	switch a.status {
	case 0, http.StatusOK, http.StatusRequestTimeout, http.StatusBadGateway, http.StatusGatewayTimeout, cloudflareTimeout:
		if a.took > gaveUp && !a.ours() {
			p.cut = a.took
		}
	}
}

// cloudflareTimeout is the status with which Cloudflare gives up.
const cloudflareTimeout = 524

// ours tells whether the answer is an error of the gateway's.
func (a answer) ours() bool { return a.code() != "" }

// code returns what a gateway's error is called.
func (a answer) code() string {
	var body struct {
		Error struct{ Code, Message string }
	}
	if a.status < http.StatusBadRequest || json.Unmarshal(a.body, &body) != nil || body.Error.Message == "" {
		return ""
	}
	return body.Error.Code
}
