package httpapi

import (
	"net/http"
	"testing"

	"github.com/rafflecast/rafflecast/services/draw/logfile"
)

// A complete page of a log never changes, so caches may keep it; those that several people
// share only if nobody had to say who asks.
func TestRaw_PassesTheCallerOnAndSaysWhoMayKeepTheAnswer(t *testing.T) {
	t.Parallel()
	b := setup(t)
	page := []byte{}
	for range logfile.PageSize {
		page = logfile.Append(page, []byte("record"))
	}
	for _, c := range []struct {
		records     []byte
		token, want string
	}{
		{page, "", "public, max-age=31536000, immutable"},
		{page, "Bearer t", "private, max-age=31536000, immutable"},
		{page[:10], "", "no-cache"},
		{page[:10], "Bearer t", "no-cache"},
	} {
		b.grpc.mu.Lock()
		b.grpc.records = c.records
		b.grpc.mu.Unlock()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, b.url+"/api/v1/raffles/1/log", nil)
		if err != nil {
			t.Fatal(err)
		}
		if c.token != "" {
			req.Header.Set("Authorization", c.token)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		b.grpc.mu.Lock()
		seen := append(b.grpc.authorization, "")[0]
		b.grpc.mu.Unlock()
		if got := resp.Header.Get("Cache-Control"); resp.StatusCode != http.StatusOK || got != c.want || seen != c.token {
			t.Errorf("%d bytes for %q: %s, %q, and the call was made for %q", len(c.records), c.token, resp.Status, got, seen)
		}
	}
}
