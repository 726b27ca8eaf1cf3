package doctor

import (
	"context"
	"net/http"
)

// resumeTries bounds how often coming back is tried where odds moved meanwhile.
const resumeTries = 5

// resume comes back with the id of the newest event. The first that is sent then
// tells whether the id arrived, unless the odds moved meanwhile.
func (d *doctor) resume(ctx context.Context, with func(id string) (query string, header http.Header)) resumed {
	ctx, stop := context.WithTimeout(ctx, d.cfg.patience)
	defer stop()
	first := func(query string, header http.Header) (e event) {
		d.subscribe(ctx, d.client, query, header, func(came event) bool { e = came; return false })
		return e
	}
	for range resumeTries {
		newest := first("", nil)
		if newest.id == "" {
			return unclear
		}
		switch again := first(with(newest.id)); {
		case again.id == newest.id:
			return dropped
		case again.name == "heartbeat" || again.name == "reset":
			return kept
		}
	}
	return unclear
}
