package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/rafflecast/rafflecast/services/gateway/internal/odds"
)

// odds answers with a raffle's newest odds, once.
func (a *API) odds(w http.ResponseWriter, r *http.Request) {
	u, refused := a.known(r)
	if refused != nil {
		refused.write(w)
		return
	}
	etag := `"` + odds.ID(u.RaffleID, u.Version) + `"`
	w.Header().Set("ETag", etag)
	w.Header().Set("Cache-Control", "public, max-age=1")
	if matches(r.Header.Get("If-None-Match"), etag) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	writeJSON(w, http.StatusOK, json.RawMessage(u.JSON))
}

// matches tells whether an If-None-Match header names the tag
// (https://www.rfc-editor.org/rfc/rfc9110#section-13.1.2: compared weakly).
func matches(header, etag string) bool {
	for tag := range strings.SplitSeq(header, ",") {
		if tag = strings.TrimPrefix(strings.TrimSpace(tag), "W/"); tag == etag || tag == "*" {
			return true
		}
	}
	return false
}

const (
	defaultPage = 50
	maxPage     = 1000
)

// states that a list may be asked for.
var states = []string{"SCHEDULED", "OPEN", "CLOSED", "CANCELLED", "DRAWN"}

// list answers with the newest odds of every raffle, in pages:
// ?state=OPEN&pageSize=50&pageToken=…
func (a *API) list(w http.ResponseWriter, r *http.Request) {
	state := r.FormValue("state")
	size, after, refused := page(r)
	switch {
	case refused != nil:
	case state != "" && !slices.Contains(states, state):
		refused = invalid(fmt.Sprintf("state: must be one of %s (got %.40q)", strings.Join(states, ", "), state))
	case !a.feed.Ready():
		refused = unavailable("the odds are not here yet: try again shortly")
	}
	if refused != nil {
		refused.write(w)
		return
	}
	// One more than a page tells whether there is another.
	found := a.feed.List(after, size+1, func(u *odds.Update) bool { return state == "" || u.State == state })
	var body struct {
		Raffles       []json.RawMessage `json:"raffles"`
		NextPageToken string            `json:"nextPageToken"`
	}
	if len(found) > size {
		found = found[:size]
		body.NextPageToken = strconv.FormatInt(found[size-1].RaffleID, 10)
	}
	body.Raffles = make([]json.RawMessage, len(found))
	for i, u := range found {
		body.Raffles[i] = u.JSON
	}
	w.Header().Set("Cache-Control", "public, max-age=1")
	writeJSON(w, http.StatusOK, body)
}

// page reads which part of a list is asked for.
func page(r *http.Request) (size int, after int64, refused *httpError) {
	size = defaultPage
	if text := r.FormValue("pageSize"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > maxPage {
			return 0, 0, invalid(fmt.Sprintf("pageSize: must be 1 to %d (got %.40q)", maxPage, text))
		}
		size = n
	}
	if text := r.FormValue("pageToken"); text != "" {
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || n < 0 || n == 1<<63-1 {
			return 0, 0, invalid(fmt.Sprintf("pageToken: must be a nextPageToken of this list (got %.40q)", text))
		}
		after = n
	}
	return size, after, nil
}
