package httpapi

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/rafflecast/rafflecast/services/gateway/internal/odds"
	"github.com/rafflecast/rafflecast/services/gateway/internal/respond"
	"github.com/rafflecast/rafflecast/services/internal/decimal"
)

// params are the query parameters that a path takes: by name, whether it may be
// given several times.
type params map[string]bool

const (
	once     = false
	repeated = true
)

// read returns a request's query. It fails if a part of the query can't be read,
// and if the path does not take a parameter, or not so often: to ignore a
// misspelt or doubled parameter would answer another question than was asked.
func (p params) read(r *http.Request) (url.Values, error) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, errQuery()
	}
	for _, name := range slices.Sorted(maps.Keys(query)) {
		mayRepeat, ok := p[name]
		if !ok {
			return nil, respond.Errorf(respond.Invalid, "%.40q: no such parameter here; known: %s",
				name, strings.Join(slices.Sorted(maps.Keys(p)), ", "))
		}
		if !mayRepeat && len(query[name]) > 1 {
			return nil, respond.Errorf(respond.Invalid, "%s: must be given once", name)
		}
	}
	return query, nil
}

func errQuery() error {
	return respond.Errorf(respond.Invalid, "the query can't be read: check its %%-escapes; a semicolon must be escaped")
}

// raffleID reads the id of a path or query.
func raffleID(text string) (int64, error) {
	id, ok := decimal.Parse(text, 64)
	if !ok || id < 1 {
		return 0, respond.Errorf(respond.Invalid,
			"id: must be a whole number from 1 to 9223372036854775807, in plain digits (got %.40q)", text)
	}
	return id, nil
}

// raffleIDs reads the ids of ?id=1&id=2: up to limit different ones. Equal ids
// count as one.
func raffleIDs(query url.Values, limit int) ([]int64, error) {
	texts := query["id"]
	if len(texts) == 0 {
		return nil, respond.Errorf(respond.Invalid, "id: must be given at least once, like ?id=1&id=2")
	}
	var ids []int64
	for _, text := range texts {
		id, err := raffleID(text)
		if err != nil {
			return nil, err
		}
		if slices.Contains(ids, id) {
			continue
		}
		if len(ids) == limit {
			return nil, respond.Errorf(respond.Invalid, "id: must be given at most %d times", limit)
		}
		ids = append(ids, id)
	}
	return ids, nil
}

// lastSeen returns what the client has of each raffle. What clients send is a hint:
// anything that is no event id means nothing. The Last-Event-ID header, which
// EventSource sends by itself, counts before ?lastEventId=, which is as old as the page.
func lastSeen(r *http.Request, query url.Values, ids []int64) []odds.Seen {
	seen := make([]odds.Seen, len(ids))
	note := func(raffleID int64, has odds.Seen) {
		if i := slices.Index(ids, raffleID); i >= 0 {
			seen[i] = has
		}
	}
	for _, text := range query["lastEventId"] {
		odds.ParseIDs(text, note)
	}
	odds.ParseIDs(r.Header.Get("Last-Event-ID"), note)
	return seen
}
