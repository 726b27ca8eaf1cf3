package ops

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"

	"github.com/rafflecast/rafflecast/services/internal/httpserver"
)

func get(t *testing.T, ready func() error, path string) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	Handler(NewRegistry(), ready).ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
	return w
}

func TestHandler_AnswersHealthChecks(t *testing.T) {
	t.Parallel()
	ready := func() error { return nil }
	notReady := func() error { return errors.New("no snapshot yet") }
	for _, c := range []struct {
		path   string
		ready  func() error
		status int
		body   string
	}{
		{"/livez", notReady, 200, "ok"},
		{"/readyz", ready, 200, "ok"},
		{"/readyz", notReady, 503, "no snapshot yet"},
		{"/metrics", ready, 200, "go_goroutines"},
		{"/metrics", ready, 200, "process_open_fds"},
		{"/metrics", ready, 200, `rafflecast_build_info{goversion="` + runtime.Version() + `",revision="`},
		{"/debug/pprof/", ready, 200, "goroutine"},
		{"/", ready, 404, ""},
	} {
		if w := get(t, c.ready, c.path); w.Code != c.status || !strings.Contains(w.Body.String(), c.body) {
			t.Errorf("%s: %d %s", c.path, w.Code, w.Body)
		}
	}
}

func TestHandler_RefusesPagesOfOtherOrigins(t *testing.T) {
	t.Parallel()
	handler := Handler(NewRegistry(), func() error { return nil })
	for site, want := range map[string]int{"": 200, "none": 200, "same-origin": 200, "same-site": 403, "cross-site": 403} {
		for _, path := range []string{"/livez", "/metrics", "/debug/pprof/cmdline"} {
			r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil)
			r.Header.Set("Sec-Fetch-Site", site)
			w := httptest.NewRecorder()
			if handler.ServeHTTP(w, r); w.Code != want {
				t.Errorf("%s from %q: %d", path, site, w.Code)
			}
		}
	}
}

// A profile that lasts longer than an answer may would keep all others from being taken.
func TestHandler_RefusesProfilesWithoutEnd(t *testing.T) {
	t.Parallel()
	server := httptest.NewUnstartedServer(Handler(NewRegistry(), func() error { return nil }))
	server.Config = httpserver.New(server.Config.Handler)
	server.Start()
	t.Cleanup(server.Close)
	for _, path := range []string{"/debug/pprof/profile", "/debug/pprof/trace", "/debug/pprof/heap", "/debug/pprof/mutex"} {
		resp, err := http.Get(server.URL + path + "?seconds=999999")
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusBadRequest {
			t.Errorf("%s: %s", path, resp.Status)
		}
	}
}
