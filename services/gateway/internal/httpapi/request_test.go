package httpapi

import (
	"maps"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"testing"
)

// FuzzRequest reads every part of a request that a client can choose.
func FuzzRequest(f *testing.F) {
	for _, c := range [][3]string{
		{"id=1&id=2", "1:e:57", "127.0.0.1:80"},
		{"id=1&id=1&lastEventId=1:2&lastEventId=x&wait=25s", "1:e:57,2:3", "[::1]:80"},
		{"id=+1&wait=-1s&pageSize=9999999999999999999&pageToken=-1", "1:99999999999999999999", ""},
		{"id=9223372036854775808;%zz&wait=1h1ns", ",,:,1:,:1,1:1:1", "pipe"},
		{"pageToken=" + pageToken("OPEN", 7) + "&state=OPEN", `"[::ffff:192.0.2.1]:80"`, "127.0.0.1:80"},
	} {
		f.Add(c[0], c[1], c[2])
	}
	api := &API{cfg: Config{Proxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}}
	f.Fuzz(func(t *testing.T, rawQuery, header, remote string) {
		r := &http.Request{URL: &url.URL{RawQuery: rawQuery}, Header: http.Header{
			"Last-Event-Id": {header}, "X-Forwarded-For": {header},
		}, RemoteAddr: remote}
		all := params{"id": repeated, "lastEventId": repeated, "wait": once}
		maps.Copy(all, listParams)
		query, err := all.read(r)
		if err != nil {
			return
		}
		if ids, err := raffleIDs(query, 100); err == nil {
			seen := lastSeen(r, query, ids)
			if len(ids) == 0 || len(ids) > 100 || slices.Min(ids) <= 0 || len(seen) != len(ids) {
				t.Errorf("%q: ids %v, seen %v", rawQuery, ids, seen)
			}
			slices.Sort(ids)
			if len(slices.Compact(ids)) != len(seen) {
				t.Errorf("%q: an id twice in %v", rawQuery, ids)
			}
		}
		if wait, err := waitOf(query); err == nil && wait != 0 && (wait < minWait || wait > maxWait) {
			t.Errorf("%q: wait %v", rawQuery, wait)
		}
		if req, err := listRequestOf(query); err == nil && (req.size < 1 || req.size > maxPageSize || req.after < 0) {
			t.Errorf("%q: page of %d after %d", rawQuery, req.size, req.after)
		}
		api.clientOf(r)
		if addr, ok := parseHop(header); ok && (!addr.IsValid() || addr.Is4In6() || addr.Zone() != "") {
			t.Errorf("%q is read as %v", header, addr)
		}
	})
}
