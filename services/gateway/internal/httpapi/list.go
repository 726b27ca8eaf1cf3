package httpapi

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
	"github.com/rafflecast/rafflecast/services/gateway/internal/odds"
	"github.com/rafflecast/rafflecast/services/gateway/internal/respond"
	"github.com/rafflecast/rafflecast/services/internal/decimal"
)

const (
	defaultPageSize = 50
	maxPageSize     = 1000
)

var listParams = params{"state": once, "pageSize": once, "pageToken": once}

// listRequest is the part of a list that a client asks for.
type listRequest struct {
	state string // empty means every state
	size  int
	after int64 // id of the last raffle of the page before
}

// list answers with the newest odds of every raffle, by ascending id, in pages:
// ?state=OPEN&pageSize=50&pageToken=… Raffles for members are left out unless the request
// brings a token that is accepted.
func (a *API) list(w http.ResponseWriter, r *http.Request) error {
	query, err := listParams.read(r)
	if err != nil {
		return err
	}
	req, err := listRequestOf(query)
	if err != nil {
		return err
	}
	if !a.feed.Ready() {
		return errNotReady()
	}
	isMember := a.isMember(r)
	// One more than a page shows whether there is a next page.
	found := a.cache.List(req.after, req.size+1, func(u *odds.Update) bool {
		return (req.state == "" || u.State == req.state) && (isMember || !u.MembersOnly)
	})
	var body struct {
		Raffles       []json.RawMessage `json:"raffles"`
		NextPageToken string            `json:"nextPageToken"`
	}
	if len(found) > req.size {
		found = found[:req.size]
		body.NextPageToken = pageToken(req.state, found[req.size-1].RaffleID)
	}
	body.Raffles = make([]json.RawMessage, len(found))
	for i, u := range found {
		body.Raffles[i] = u.JSON
	}
	w.Header().Set("Cache-Control", "public, max-age=1")
	if a.cfg.Tokens != nil {
		w.Header().Add("Vary", "Authorization, Cookie")
	}
	if isMember {
		w.Header().Set("Cache-Control", "private, no-store")
	}
	respond.JSON(w, http.StatusOK, body)
	return nil
}

func listRequestOf(query url.Values) (listRequest, error) {
	req := listRequest{state: query.Get("state"), size: defaultPageSize}
	if !isState(req.state) && req.state != "" {
		known := strings.Join(states(), ", ")
		return req, respond.Errorf(respond.Invalid, "state: must be one of %s (got %.40q)", known, req.state)
	}
	if text := query.Get("pageSize"); text != "" {
		size, ok := decimal.Parse(text, 32)
		if !ok || size < 1 || size > maxPageSize {
			return req, respond.Errorf(respond.Invalid, "pageSize: must be 1 to %d, in plain digits (got %.40q)", maxPageSize, text)
		}
		req.size = int(size)
	}
	if token := query.Get("pageToken"); token != "" {
		after, ok := parsePageToken(req.state, token)
		if !ok {
			return req, respond.Errorf(respond.Invalid, "pageToken: must be the nextPageToken of a list with the same state")
		}
		req.after = after
	}
	return req, nil
}

// isState reports whether name is the name of a raffle's state.
func isState(name string) bool {
	n, ok := rafflev1.Raffle_State_value[name]
	return ok && n != int32(rafflev1.Raffle_STATE_UNSPECIFIED)
}

// states returns the names of all states, in the order of a raffle's life.
func states() []string {
	var names []string
	for n := range int32(len(rafflev1.Raffle_State_name)) {
		names = append(names, rafflev1.Raffle_State_name[n])
	}
	return slices.DeleteFunc(names, func(name string) bool { return !isState(name) })
}
