package httpapi

import (
	"net/http"
	"net/url"
	"slices"
	"testing"
	"time"
)

// FuzzRequest reads all that a client can choose, and never believes it.
func FuzzRequest(f *testing.F) {
	for _, c := range [][3]string{
		{"id=1&id=2", "1:57", "127.0.0.1:80"},
		{"id=1&id=1&lastEventId=1:2&lastEventId=x&wait=25s", "1:57,2:3", "[::1]:80"},
		{"id=+1&wait=-1s&pageSize=9999999999999999999&pageToken=-1", "1:99999999999999999999", ""},
		{"id=9223372036854775808;%zz&wait=1h1ns", ",,:,1:,:1,1:1:1", "pipe"},
	} {
		f.Add(c[0], c[1], c[2])
	}
	f.Fuzz(func(t *testing.T, rawQuery, header, remote string) {
		r := &http.Request{URL: &url.URL{RawQuery: rawQuery}, Header: http.Header{
			"Last-Event-Id": {header}, "X-Forwarded-For": {header},
		}, RemoteAddr: remote}
		query, refused := queryOf(r)
		if refused != nil {
			return
		}
		if ids, refused := raffleIDs(query, 100); refused == nil {
			seen := lastSeen(r, query, ids)
			if len(ids) == 0 || len(ids) > 100 || slices.Min(ids) <= 0 || slices.Min(seen) < 0 || len(seen) != len(ids) {
				t.Errorf("%q: ids %v, seen %v", rawQuery, ids, seen)
			}
			slices.Sort(ids)
			if len(slices.Compact(ids)) != len(seen) {
				t.Errorf("%q: an id twice in %v", rawQuery, ids)
			}
		}
		if wait, refused := waitOf(query); refused == nil && wait != 0 && (wait < time.Second || wait > time.Minute) {
			t.Errorf("%q: wait %v", rawQuery, wait)
		}
		if size, after, refused := page(query); refused == nil && (size < 1 || size > maxPage || after < 0) {
			t.Errorf("%q: page of %d after %d", rawQuery, size, after)
		}
		(&API{}).clientOf(r)
	})
}
