package httpapi

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"github.com/rafflecast/rafflecast/services/gateway/internal/odds"
)

// raffleID reads the id of a path or query: digits alone.
func raffleID(text string) (int64, *httpError) {
	id, err := strconv.ParseUint(text, 10, 63)
	if err != nil || id == 0 {
		return 0, invalid(fmt.Sprintf("id: must be a whole number from 1 to 9223372036854775807 (got %.40q)", text))
	}
	return int64(id), nil
}

// raffleIDs reads the ids of ?id=1&id=2: up to limit of them, each once.
func raffleIDs(query url.Values, limit int) ([]int64, *httpError) {
	texts := query["id"]
	if len(texts) == 0 {
		return nil, invalid("id: must be given at least once, like ?id=1&id=2")
	}
	var ids []int64
	for _, text := range texts {
		id, refused := raffleID(text)
		if refused != nil {
			return nil, refused
		}
		if slices.Contains(ids, id) {
			continue
		}
		if len(ids) == limit {
			return nil, invalid(fmt.Sprintf("id: must be given at most %d times", limit))
		}
		ids = append(ids, id)
	}
	return ids, nil
}

// lastSeen returns the version of each raffle that the client has, 0 where it
// has none: what it sends is a hint, and anything odd in it means "none". The
// header, which EventSource sends by itself, counts before ?lastEventId=, which
// is as old as the page.
func lastSeen(r *http.Request, query url.Values, ids []int64) []int64 {
	seen := make([]int64, len(ids))
	note := func(raffleID, version int64) {
		if i := slices.Index(ids, raffleID); i >= 0 {
			seen[i] = version
		}
	}
	for _, text := range query["lastEventId"] {
		odds.ParseIDs(text, note)
	}
	odds.ParseIDs(r.Header.Get("Last-Event-ID"), note)
	return seen
}

// queryOf reads a request's query, all of which must be well-formed: a client
// that escapes wrongly should hear of it.
func queryOf(r *http.Request) (url.Values, *httpError) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, invalid("the query can't be read")
	}
	return query, nil
}
