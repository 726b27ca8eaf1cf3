package httpapi

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/rafflecast/rafflecast/services/gateway/internal/fanout"
	"github.com/rafflecast/rafflecast/services/gateway/internal/odds"
)

// Open returns the stream that answers a GET request, and sets the header of the answer,
// if that takes no more than looking into the cache. It reports false for everything
// else, which Handler answers: other paths, what is refused, raffles for members, final
// odds that the client has, and what the cache lacks. A stream counts as an open
// connection until its Done is called.
func (a *API) Open(header http.Header, r *http.Request) (fanout.Stream, bool) {
	var none fanout.Stream
	ids, query, ok := a.streamOf(r)
	if !ok || !a.cfg.Hosts.Have(r.Host) {
		return none, false
	}
	newest := make([]*odds.Update, len(ids))
	for i, id := range ids {
		if newest[i] = a.cache.Newest(id); newest[i] == nil || newest[i].MembersOnly {
			return none, false
		}
	}
	seen := lastSeen(r, query, ids)
	for i, id := range ids {
		if a.lacks(id, seen[i]) {
			return none, false
		}
	}
	client := a.clientOf(r)
	if hasAll(newest, seen) || a.admission.admit(client) != nil {
		return none, false
	}
	a.corsOnly.ServeHTTP(headerWriter{header}, r)
	setStreamHeader(header)
	stream := a.open(newest, seen)
	stream.Done = func(fanout.Reason) { a.admission.release(client) }
	return stream, true
}

// streamOf returns the raffles that a request is about, and its query, if it is one for a
// stream that could be answered.
func (a *API) streamOf(r *http.Request) (ids []int64, query url.Values, ok bool) {
	path, ok := strings.CutPrefix(r.URL.Path, "/api/v1/raffle")
	if !ok {
		return nil, nil, false
	}
	if path == "s/subscribe" {
		query, err := subscribeSeveralParams.read(r)
		if err != nil {
			return nil, nil, false
		}
		ids, err := raffleIDs(query, a.cfg.MaxRaffles)
		return ids, query, err == nil
	}
	text, isOne := strings.CutPrefix(strings.TrimPrefix(path, "s"), "/")
	text, ok = strings.CutSuffix(text, "/subscribe")
	if !isOne || !ok {
		return nil, nil, false
	}
	id, err := raffleID(text)
	if err != nil {
		return nil, nil, false
	}
	query, err = subscribeParams.read(r)
	return []int64{id}, query, err == nil
}

// headerWriter is a response of which only the header is of interest.
type headerWriter struct{ header http.Header }

func (w headerWriter) Header() http.Header       { return w.header }
func (headerWriter) WriteHeader(int)             {}
func (headerWriter) Write(b []byte) (int, error) { return len(b), nil }
