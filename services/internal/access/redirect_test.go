package access

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"sync/atomic"
	"testing"
)

func TestKeepTLS_RefusesToLoseIt(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		from []string
		to   string
		want bool
	}{
		{[]string{"https://a.example/keys"}, "https://b.example/keys", true},
		{[]string{"http://a.example/keys"}, "https://a.example/keys", true},
		{[]string{"http://a.example/keys"}, "http://b.example/keys", true},
		{[]string{"https://a.example/keys"}, "http://a.example/keys", false},
		{[]string{"http://a.example/keys", "https://a.example/keys"}, "http://b.example/keys", false},
		{slices.Repeat([]string{"https://a.example/keys"}, maxRedirections), "https://a.example/keys", false},
	} {
		var before []*http.Request
		for _, from := range c.from {
			before = append(before, httptest.NewRequestWithContext(t.Context(), http.MethodGet, from, nil))
		}
		next := httptest.NewRequestWithContext(t.Context(), http.MethodGet, c.to, nil)
		if err := keepTLS(next, before); (err == nil) != c.want {
			t.Errorf("from %d, the last of which is %s, to %s: %v", len(c.from), c.from[len(c.from)-1], c.to, err)
		}
	}
}

// The client that reads keys asks keepTLS.
func TestKeys_FollowRedirectionsByKeepTLS(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		http.Redirect(w, r, "/again", http.StatusFound)
	}))
	t.Cleanup(server.Close)
	k, err := newKeys(server.URL, 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := k.read(t.Context()); err == nil || asked.Load() != maxRedirections {
		t.Errorf("after %d requests: %v", asked.Load(), err)
	}
}
