package web_test

import (
	"encoding/json"
	"io/fs"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/rafflecast/rafflecast/services/gateway/web"
)

func get(t *testing.T, method, target string, header http.Header) *httptest.ResponseRecorder {
	t.Helper()
	request := httptest.NewRequestWithContext(t.Context(), method, target, nil)
	maps.Copy(request.Header, header)
	recorder := httptest.NewRecorder()
	web.Handler().ServeHTTP(recorder, request)
	return recorder
}

func TestPageAndAssets(t *testing.T) {
	t.Parallel()
	for target, contentType := range map[string]string{
		"/":                           "text/html; charset=utf-8",
		"/raffle/1":                   "text/html; charset=utf-8",
		"/raffle/9223372036854775807": "text/html; charset=utf-8",
		"/assets/page.js":             "text/javascript; charset=utf-8",
		"/assets/style.css":           "text/css; charset=utf-8",
		"/assets/favicon.svg":         "image/svg+xml",
	} {
		t.Run(target, func(t *testing.T) {
			t.Parallel()
			full := get(t, http.MethodGet, target, nil)
			wantStatus(t, full, http.StatusOK)
			wantHeader(t, full, "Content-Type", contentType)
			wantSafe(t, full)
			if full.Body.Len() == 0 {
				t.Error("the body is empty")
			}

			head := get(t, http.MethodHead, target, nil)
			wantStatus(t, head, http.StatusOK)
			wantHeader(t, head, "ETag", full.Header().Get("ETag"))
			wantHeader(t, head, "Content-Length", full.Header().Get("Content-Length"))
			if head.Body.Len() != 0 {
				t.Error("HEAD answered with a body")
			}
		})
	}
}

func TestEveryRaffleIsTheSamePage(t *testing.T) {
	t.Parallel()
	root, raffle := get(t, http.MethodGet, "/", nil), get(t, http.MethodGet, "/raffle/7", nil)
	if root.Body.String() != raffle.Body.String() {
		t.Error("/ and /raffle/7 differ")
	}
}

func TestETag(t *testing.T) {
	t.Parallel()
	etag := get(t, http.MethodGet, "/assets/page.js", nil).Header().Get("ETag")
	if !regexp.MustCompile(`^"[0-9a-f]{32}"$`).MatchString(etag) {
		t.Fatalf("ETag = %q, want a strong one of 32 hexadecimal digits", etag)
	}
	if other := get(t, http.MethodGet, "/assets/link.js", nil).Header().Get("ETag"); other == etag {
		t.Error("two files share an ETag")
	}

	same := get(t, http.MethodGet, "/assets/page.js", http.Header{"If-None-Match": {etag}})
	wantStatus(t, same, http.StatusNotModified)
	wantSafe(t, same)
	if same.Body.Len() != 0 {
		t.Error("304 came with a body")
	}
	old := get(t, http.MethodGet, "/assets/page.js", http.Header{"If-None-Match": {`"of another release"`}})
	wantStatus(t, old, http.StatusOK)
}

func TestErrors(t *testing.T) {
	t.Parallel()
	cases := []struct {
		method, target string
		status         int
		code           string
	}{
		{http.MethodGet, "/raffle/0", http.StatusBadRequest, "INVALID_ARGUMENT"},
		{http.MethodGet, "/raffle/-1", http.StatusBadRequest, "INVALID_ARGUMENT"},
		{http.MethodGet, "/raffle/+1", http.StatusBadRequest, "INVALID_ARGUMENT"},
		{http.MethodGet, "/raffle/1.0", http.StatusBadRequest, "INVALID_ARGUMENT"},
		{http.MethodGet, "/raffle/1_0", http.StatusBadRequest, "INVALID_ARGUMENT"},
		{http.MethodGet, "/raffle/guitar", http.StatusBadRequest, "INVALID_ARGUMENT"},
		{http.MethodGet, "/raffle/9223372036854775808", http.StatusBadRequest, "INVALID_ARGUMENT"},
		{http.MethodGet, "/raffle/%3Cscript%3E", http.StatusBadRequest, "INVALID_ARGUMENT"},
		{http.MethodHead, "/raffle/x", http.StatusBadRequest, "INVALID_ARGUMENT"},
		{http.MethodGet, "/raffle", http.StatusNotFound, "NOT_FOUND"},
		{http.MethodGet, "/raffle/", http.StatusNotFound, "NOT_FOUND"},
		{http.MethodGet, "/raffle/1/", http.StatusNotFound, "NOT_FOUND"},
		{http.MethodGet, "/index.html", http.StatusNotFound, "NOT_FOUND"},
		{http.MethodGet, "/assets/", http.StatusNotFound, "NOT_FOUND"},
		{http.MethodGet, "/assets/web.go", http.StatusNotFound, "NOT_FOUND"},
		{http.MethodGet, "/favicon.ico", http.StatusNotFound, "NOT_FOUND"},
		{http.MethodPost, "/", http.StatusNotFound, "NOT_FOUND"},
		{http.MethodPost, "/raffle/1", http.StatusNotFound, "NOT_FOUND"},
	}
	for _, c := range cases {
		t.Run(c.method+c.target, func(t *testing.T) {
			t.Parallel()
			answer := get(t, c.method, c.target, nil)
			wantStatus(t, answer, c.status)
			wantHeader(t, answer, "Content-Type", "application/json")
			wantSafe(t, answer)
			var body struct {
				Error struct{ Code, Message string }
			}
			if err := json.Unmarshal(answer.Body.Bytes(), &body); err != nil {
				t.Fatalf("the body %q is not JSON: %v", answer.Body, err)
			}
			if body.Error.Code != c.code || body.Error.Message == "" {
				t.Errorf("error = %+v, want code %s and a message", body.Error, c.code)
			}
		})
	}
}

// A browser would refuse these by the content security policy, and only a browser would notice.
func TestPageHasNothingInline(t *testing.T) {
	t.Parallel()
	page := get(t, http.MethodGet, "/", nil).Body.String()
	for _, script := range regexp.MustCompile(`(?is)<script([^>]*)>(.*?)</script>`).FindAllStringSubmatch(page, -1) {
		if !strings.Contains(script[1], `src="/assets/`) || script[2] != "" {
			t.Errorf("inline script: %s", script[0])
		}
	}
	for what, pattern := range map[string]string{
		"a style element":   `(?i)<style`,
		"a style attribute": `(?i)\sstyle\s*=`,
		"an event handler":  `(?i)\son[a-z]+\s*=`,
		"a javascript URL":  `(?i)javascript:`,
	} {
		if found := regexp.MustCompile(pattern).FindString(page); found != "" {
			t.Errorf("the page has %s: %q", what, found)
		}
	}
}

// A raffle's title is written by others: nothing of the page may read text as markup or as code.
func TestScriptsNeverReadMarkup(t *testing.T) {
	t.Parallel()
	forbidden := regexp.MustCompile(`innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function`)
	for name, body := range files(t) {
		if found := forbidden.FindString(body); found != "" {
			t.Errorf("%s uses %s", name, found)
		}
	}
}

func TestEveryReferenceIsServedFromHere(t *testing.T) {
	t.Parallel()
	reference := regexp.MustCompile(`(?:src|href)="(/assets/[^"]+)"|from "\.(/[^"]+)"`)
	address := regexp.MustCompile(`(?:https?:)?//[a-z0-9.-]+\.[a-z]+[^\s"]*`)
	for name, body := range files(t) {
		for _, match := range reference.FindAllStringSubmatch(body, -1) {
			target := match[1]
			if target == "" {
				target = "/assets" + match[2]
			}
			wantStatus(t, get(t, http.MethodGet, target, nil), http.StatusOK)
		}
		for _, found := range address.FindAllString(body, -1) {
			if found != "http://www.w3.org/2000/svg" {
				t.Errorf("%s refers to %s", name, found)
			}
		}
	}
}

// A module that is not preloaded costs a round trip more for each step of the chain of imports.
func TestEveryModuleIsPreloaded(t *testing.T) {
	t.Parallel()
	page := get(t, http.MethodGet, "/", nil).Body.String()
	for name := range files(t) {
		if path.Ext(name) == ".js" && !strings.Contains(page, `="/`+name+`"`) {
			t.Errorf("index.html does not name %s", name)
		}
	}
}

// files are the page and its assets as they lie beside this test.
func files(t *testing.T) map[string]string {
	t.Helper()
	names, err := fs.Glob(os.DirFS("."), "assets/*")
	if err != nil {
		t.Fatal(err)
	}
	bodies := map[string]string{}
	for _, name := range append(names, "index.html") {
		body, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		bodies[name] = string(body)
	}
	return bodies
}

func wantStatus(t *testing.T, answer *httptest.ResponseRecorder, status int) {
	t.Helper()
	if answer.Code != status {
		t.Errorf("status = %d, want %d", answer.Code, status)
	}
}

func wantHeader(t *testing.T, answer *httptest.ResponseRecorder, name, want string) {
	t.Helper()
	if got := answer.Header().Get(name); got != want {
		t.Errorf("%s = %q, want %q", name, got, want)
	}
}

// wantSafe checks what every answer must carry, whatever its status.
func wantSafe(t *testing.T, answer *httptest.ResponseRecorder) {
	t.Helper()
	wantHeader(t, answer, "X-Content-Type-Options", "nosniff")
	wantHeader(t, answer, "Referrer-Policy", "no-referrer")
	wantHeader(t, answer, "Cache-Control", "no-cache")
	policy := answer.Header().Get("Content-Security-Policy")
	for _, directive := range []string{
		"default-src 'none'", "script-src 'self'", "style-src 'self'", "img-src 'self' data:", "connect-src 'self'",
		"base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'",
	} {
		if !slices.Contains(strings.Split(policy, "; "), directive) {
			t.Errorf("Content-Security-Policy %q lacks %s", policy, directive)
		}
	}
}
