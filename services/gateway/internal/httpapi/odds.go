package httpapi

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/rafflecast/rafflecast/services/gateway/internal/odds"
	"github.com/rafflecast/rafflecast/services/gateway/internal/respond"
)

// Bounds of ?wait=. Proxies often give up after 60 s.
const (
	minWait = time.Second
	maxWait = 60 * time.Second
)

// answerTimeout bounds how long a client may take to read the answer of a long poll.
const answerTimeout = 30 * time.Second

var oddsParams = params{"wait": once}

// odds answers with a raffle's newest odds. With ?wait=25s, and an If-None-Match
// that names these odds, it answers when there are newer ones (long polling).
func (a *API) odds(w http.ResponseWriter, r *http.Request) error {
	query, err := oddsParams.read(r)
	if err != nil {
		return err
	}
	wait, err := waitOf(query)
	if err != nil {
		return err
	}
	id, err := raffleID(r.PathValue("id"))
	if err != nil {
		return err
	}
	u, err := a.known(r.Context(), id)
	if err != nil {
		return err
	}
	until, err := a.mayWatch(r, u)
	if err != nil {
		return err
	}
	if !until.IsZero() {
		wait = min(wait, time.Until(until))
	}
	if wait > 0 && r.Method != http.MethodHead && matches(r.Header.Get("If-None-Match"), etag(u)) {
		// The server bounds answers by the time since the request.
		_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(wait + answerTimeout))
		if err := a.waitFor(r, u, wait); err != nil {
			return err
		}
		if u, err = a.known(r.Context(), id); err != nil { // it was removed
			return err
		}
		if _, err := a.mayWatch(r, u); err != nil { // the token has expired, or another raffle has the id now
			return err
		}
	}
	w.Header().Set("ETag", etag(u))
	w.Header().Set("Cache-Control", "public, max-age=1")
	if wait > 0 {
		w.Header().Set("Cache-Control", "no-store")
	}
	if u.MembersOnly {
		w.Header().Set("Cache-Control", "private, no-store")
	}
	if matches(r.Header.Get("If-None-Match"), etag(u)) {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	respond.JSON(w, http.StatusOK, json.RawMessage(u.JSON))
	return nil
}

func etag(u *odds.Update) string { return `"` + odds.ID(u) + `"` }

// waitOf reads ?wait=; 0 means not to wait.
func waitOf(query url.Values) (time.Duration, error) {
	text := query.Get("wait")
	if text == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < minWait || d > maxWait {
		return 0, respond.Errorf(respond.Invalid, "wait: must be %v to %v, like 25s (got %.40q)", minWait, maxWait, text)
	}
	return d, nil
}

// waitFor returns when there are newer odds than u, or when the wait is over. A
// long poll counts as an open connection, as a stream does.
func (a *API) waitFor(r *http.Request, u *odds.Update, wait time.Duration) error {
	client := a.clientOf(r)
	if err := a.admission.admit(client); err != nil {
		return err
	}
	defer a.admission.release(client)
	a.hub.Wait(r.Context(), u, wait)
	return nil
}

// matches reports whether an If-None-Match header names the tag, by the weak
// comparison of https://www.rfc-editor.org/rfc/rfc9110#section-13.1.2.
func matches(header, etag string) bool {
	for tag := range strings.SplitSeq(header, ",") {
		if tag = strings.TrimPrefix(strings.TrimSpace(tag), "W/"); tag == etag || tag == "*" {
			return true
		}
	}
	return false
}
