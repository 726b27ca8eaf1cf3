package doctor

import (
	"context"
	"net/http"

	"github.com/rafflecast/rafflecast/services/rafflecast/internal/sseclient"
)

// resumeAttempts bounds how often resuming is tried if the odds change meanwhile.
const resumeAttempts = 5

// resume subscribes with the id of the newest event, which with turns into a query
// or a header. The first event then shows whether the id arrived, unless the odds
// have changed meanwhile.
func (d *doctor) resume(ctx context.Context, with func(id string) (query string, header http.Header)) resumption {
	ctx, stop := context.WithTimeout(ctx, d.limits.timeout)
	defer stop()
	firstEvent := func(query string, header http.Header) (first event) {
		d.subscribe(ctx, d.client, query, header, func(e event) bool { first = e; return false })
		return first
	}
	for range resumeAttempts {
		newest := firstEvent("", nil)
		if newest.id == "" {
			return resumeUnknown
		}
		switch next := firstEvent(with(newest.id)); {
		case next.id == newest.id:
			return notResumed
		case next.name == sseclient.HeartbeatEvent || next.name == sseclient.ResetEvent:
			return resumed
		}
	}
	return resumeUnknown
}
