package httpapi

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rafflecast/rafflecast/services/gateway/internal/odds"
)

// Bounds of ?wait=; a proxy often gives up after 60 s.
const (
	minWait = time.Second
	maxWait = 60 * time.Second
)

// odds answers with a raffle's newest odds, once; with ?wait=25s and an
// If-None-Match that names them, as soon as there are newer ones.
func (a *API) odds(w http.ResponseWriter, r *http.Request) {
	query, refused := queryOf(r)
	var id int64
	if refused == nil {
		id, refused = raffleID(r.PathValue("id"))
	}
	var u *odds.Update
	if refused == nil {
		u, refused = a.known(id)
	}
	var wait time.Duration
	if refused == nil {
		wait, refused = waitOf(query)
	}
	if refused == nil && wait > 0 && r.Method != http.MethodHead && matches(r.Header.Get("If-None-Match"), etag(u)) {
		refused = a.waitFor(r, u, wait)
		u = a.feed.Newest(id)
	}
	if refused != nil {
		a.refuse(w, refused)
		return
	}
	w.Header().Set("ETag", etag(u))
	w.Header().Set("Cache-Control", "public, max-age=1")
	if wait > 0 {
		w.Header().Set("Cache-Control", "no-store")
	}
	if matches(r.Header.Get("If-None-Match"), etag(u)) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	writeJSON(w, http.StatusOK, json.RawMessage(u.JSON))
}

func etag(u *odds.Update) string { return `"` + odds.ID(u.RaffleID, u.Version) + `"` }

// waitOf reads ?wait=, 0 where there is none.
func waitOf(query url.Values) (time.Duration, *httpError) {
	text := query.Get("wait")
	if text == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < minWait || d > maxWait {
		return 0, invalid(fmt.Sprintf("wait: must be %v to %v, like 25s (got %.40q)", minWait, maxWait, text))
	}
	return d, nil
}

// waitFor returns when there is something newer than u, or the wait is over. It
// takes a place like a stream.
func (a *API) waitFor(r *http.Request, u *odds.Update, wait time.Duration) *httpError {
	client := a.clientOf(r)
	if refused := a.admission.admit(client); refused != nil {
		return refused
	}
	defer a.admission.release(client)
	a.hub.Wait(r.Context(), u.RaffleID, u.Version, wait)
	return nil
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
	query, refused := queryOf(r)
	state := query.Get("state")
	size, after := defaultPage, int64(0)
	if refused == nil {
		size, after, refused = page(query)
	}
	switch {
	case refused != nil:
	case state != "" && !slices.Contains(states, state):
		refused = invalid(fmt.Sprintf("state: must be one of %s (got %.40q)", strings.Join(states, ", "), state))
	case !a.feed.Ready():
		refused = notReady()
	}
	if refused != nil {
		a.refuse(w, refused)
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
func page(query url.Values) (size int, after int64, refused *httpError) {
	size = defaultPage
	if text := query.Get("pageSize"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > maxPage {
			return 0, 0, invalid(fmt.Sprintf("pageSize: must be 1 to %d (got %.40q)", maxPage, text))
		}
		size = n
	}
	if text := query.Get("pageToken"); text != "" {
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || n < 0 || n == 1<<63-1 {
			return 0, 0, invalid(fmt.Sprintf("pageToken: must be a nextPageToken of this list (got %.40q)", text))
		}
		after = n
	}
	return size, after, nil
}
