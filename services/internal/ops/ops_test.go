package ops

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strings"
	"testing"
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

// Flags may hold passwords; the test's own stand in for them.
func TestHandler_TellsNoFlags(t *testing.T) {
	t.Parallel()
	w := get(t, func() error { return nil }, "/debug/pprof/cmdline")
	if len(os.Args) < 2 || w.Body.String() != os.Args[0] {
		t.Errorf("of %q it tells %q", os.Args, w.Body)
	}
}

// A profile that lasts for days would keep all others from being taken.
func TestHandler_RefusesProfilesWithoutEnd(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"/debug/pprof/profile", "/debug/pprof/trace", "/debug/pprof/heap", "/debug/pprof/mutex"} {
		for _, seconds := range []string{"301", "999999", "1e9", "Inf", "NaN", "-1", "9s"} {
			if w := get(t, func() error { return nil }, path+"?seconds="+seconds); w.Code != http.StatusBadRequest {
				t.Errorf("%s for %s: %d", path, seconds, w.Code)
			}
		}
	}
}
