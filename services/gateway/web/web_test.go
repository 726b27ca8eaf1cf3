package web_test

import (
	"context"
	"encoding/json"
	"io/fs"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rafflecast/rafflecast/services/gateway/internal/respond"
	"github.com/rafflecast/rafflecast/services/gateway/web"
)

// get asks a gateway where raffle 1 to 9 and the largest id exist.
func get(t *testing.T, method, target string, header http.Header) *httptest.ResponseRecorder {
	t.Helper()
	responder := &respond.Responder{
		Retry: func() time.Duration { return time.Second },
		Log:   slog.New(slog.DiscardHandler),
	}
	checkRaffle := func(_ context.Context, id string) error {
		if regexp.MustCompile(`^([1-9]|9223372036854775807)$`).MatchString(id) {
			return nil
		}
		if regexp.MustCompile(`^[0-9]{2,18}$`).MatchString(id) {
			return respond.Errorf(respond.RaffleNotFound, "raffle %s does not exist", id)
		}
		return respond.Errorf(respond.Invalid, "id: must be a whole number (got %q)", id)
	}
	request := httptest.NewRequestWithContext(t.Context(), method, target, nil)
	maps.Copy(request.Header, header)
	recorder := httptest.NewRecorder()
	web.Handler(responder, checkRaffle).ServeHTTP(recorder, request)
	return recorder
}

// fromBrowser is the header of a page that a person opens.
var fromBrowser = http.Header{"Accept": {"text/html,application/xhtml+xml,*/*;q=0.8"}}

func TestHandler_ServesPageAndAssets(t *testing.T) {
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

func TestHandler_LetsPagesOfAllOriginsImportTheClient(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"rafflecast.js", "connection.js", "sse.js", "tabs.js"} {
		full := get(t, http.MethodGet, "/client/"+name, http.Header{"Origin": {"https://shop.example"}})
		wantStatus(t, full, http.StatusOK)
		wantSafe(t, full)
		wantHeader(t, full, "Content-Type", "text/javascript; charset=utf-8")
		same := get(t, http.MethodGet, "/client/"+name, http.Header{"If-None-Match": full.Header()["Etag"]})
		wantStatus(t, same, http.StatusNotModified)
		for _, answer := range []*httptest.ResponseRecorder{full, same} {
			wantHeader(t, answer, "Access-Control-Allow-Origin", "*")
			wantHeader(t, answer, "Cross-Origin-Resource-Policy", "cross-origin")
		}
	}
	for _, name := range []string{"package.json", "rafflecast.d.ts", "README.md"} {
		wantStatus(t, get(t, http.MethodGet, "/client/"+name, nil), http.StatusNotFound)
	}
	wantHeader(t, get(t, http.MethodGet, "/assets/page.js", nil), "Access-Control-Allow-Origin", "")
}

func TestHandler_ServesOnePageForAllRaffles(t *testing.T) {
	t.Parallel()
	root, raffle := get(t, http.MethodGet, "/", nil), get(t, http.MethodGet, "/raffle/7", nil)
	if root.Body.String() != raffle.Body.String() {
		t.Error("/ and /raffle/7 differ")
	}
}

func TestHandler_AnswersConditionalRequests(t *testing.T) {
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
	other := http.Header{"If-None-Match": {`"of another release"`}}
	old := get(t, http.MethodGet, "/assets/page.js", other)
	wantStatus(t, old, http.StatusOK)
}

func TestHandler_AnswersRanges(t *testing.T) {
	t.Parallel()
	const target = "/assets/page.js"
	part := get(t, http.MethodGet, target, http.Header{"Range": {"bytes=0-5"}})
	wantStatus(t, part, http.StatusPartialContent)
	wantHeader(t, part, "Content-Length", "6")
	for value, want := range map[string]struct {
		status int
		reason string
	}{
		"bytes=99999999-": {http.StatusRequestedRangeNotSatisfiable, "RANGE_NOT_SATISFIABLE"},
		"bytes=5-1":       {http.StatusBadRequest, "INVALID"},
		"lines=1":         {http.StatusBadRequest, "INVALID"},
		"x":               {http.StatusBadRequest, "INVALID"},
	} {
		answer := get(t, http.MethodGet, target, http.Header{"Range": {value}})
		wantStatus(t, answer, want.status)
		wantReason(t, answer, want.reason)
	}
}

var badAddresses = []struct {
	method, target string
	status         int
	reason         string
}{
	{http.MethodGet, "/raffle/0", http.StatusBadRequest, "INVALID"},
	{http.MethodGet, "/raffle/-1", http.StatusBadRequest, "INVALID"},
	{http.MethodGet, "/raffle/guitar", http.StatusBadRequest, "INVALID"},
	{http.MethodGet, "/raffle/%3Cscript%3E", http.StatusBadRequest, "INVALID"},
	{http.MethodHead, "/raffle/x", http.StatusBadRequest, "INVALID"},
	{http.MethodGet, "/raffle/77", http.StatusNotFound, "RAFFLE_NOT_FOUND"},
	{http.MethodGet, "/raffle", http.StatusNotFound, "PATH_NOT_FOUND"},
	{http.MethodGet, "/raffle/", http.StatusNotFound, "PATH_NOT_FOUND"},
	{http.MethodGet, "/index.html", http.StatusNotFound, "PATH_NOT_FOUND"},
	{http.MethodGet, "/error.html", http.StatusNotFound, "PATH_NOT_FOUND"},
	{http.MethodGet, "/assets/", http.StatusNotFound, "PATH_NOT_FOUND"},
	{http.MethodGet, "/assets/web.go", http.StatusNotFound, "PATH_NOT_FOUND"},
	{http.MethodGet, "/favicon.ico", http.StatusNotFound, "PATH_NOT_FOUND"},
	{http.MethodPost, "/nothing", http.StatusNotFound, "PATH_NOT_FOUND"},
	{http.MethodPost, "/", http.StatusMethodNotAllowed, "METHOD_NOT_ALLOWED"},
	{http.MethodPost, "/raffle/1", http.StatusMethodNotAllowed, "METHOD_NOT_ALLOWED"},
	{http.MethodDelete, "/assets/page.js", http.StatusMethodNotAllowed, "METHOD_NOT_ALLOWED"},
}

func TestHandler_RefusesBadAddresses(t *testing.T) {
	t.Parallel()
	for _, c := range badAddresses {
		t.Run(c.method+c.target, func(t *testing.T) {
			t.Parallel()
			answer := get(t, c.method, c.target, nil)
			wantStatus(t, answer, c.status)
			wantReason(t, answer, c.reason)
			wantRefusal(t, answer)

			page := get(t, c.method, c.target, fromBrowser)
			wantStatus(t, page, c.status)
			wantRefusal(t, page)
			wantHeader(t, page, "Content-Type", "text/html; charset=utf-8")
			body := page.Body.String()
			if !strings.HasPrefix(body, "<!doctype html>") || strings.Contains(body, "<script>") {
				t.Errorf("the page for people: %s", body)
			}
		})
	}
}

func TestHandler_ShowsThePageForAnUnknownRaffle(t *testing.T) {
	t.Parallel()
	missing := get(t, http.MethodGet, "/raffle/77", fromBrowser)
	known := get(t, http.MethodGet, "/raffle/7", fromBrowser)
	wantStatus(t, missing, http.StatusNotFound)
	if missing.Body.String() != known.Body.String() {
		t.Error("it is another page")
	}
}

func TestHandler_RedirectsToThePathWithoutSlash(t *testing.T) {
	t.Parallel()
	answer := get(t, http.MethodGet, "/raffle/1/?lang=ko", nil)
	wantStatus(t, answer, http.StatusPermanentRedirect)
	wantHeader(t, answer, "Location", "/raffle/1?lang=ko")
}

func TestHandler_AnswersOptions(t *testing.T) {
	t.Parallel()
	for _, target := range []string{"/", "/raffle/1", "/assets/page.js"} {
		answer := get(t, http.MethodOptions, target, nil)
		wantStatus(t, answer, http.StatusNoContent)
		wantHeader(t, answer, "Allow", "GET, HEAD, OPTIONS")
	}
}

// The content security policy forbids these, which only a browser would notice.
func TestPages_HaveNothingInline(t *testing.T) {
	t.Parallel()
	for _, page := range []string{
		get(t, http.MethodGet, "/", nil).Body.String(),
		get(t, http.MethodGet, "/nothing", fromBrowser).Body.String(),
	} {
		scripts := regexp.MustCompile(`(?is)<script([^>]*)>(.*?)</script>`)
		for _, script := range scripts.FindAllStringSubmatch(page, -1) {
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
}

// Others write a raffle's title, so no script may read text as markup or as code.
func TestScripts_NeverReadMarkup(t *testing.T) {
	t.Parallel()
	forbidden := regexp.MustCompile(`innerHTML|outerHTML|insertAdjacentHTML|` +
		`document\.write|\beval\(|new Function`)
	for name, body := range files(t) {
		if found := forbidden.FindString(body); found != "" {
			t.Errorf("%s uses %s", name, found)
		}
	}
}

func TestReferences_StayOnThisHost(t *testing.T) {
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

// A module that is not preloaded costs another round trip when it is imported.
func TestModules_ArePreloaded(t *testing.T) {
	t.Parallel()
	page := get(t, http.MethodGet, "/", nil).Body.String()
	for name := range files(t) {
		if path.Ext(name) == ".js" && !strings.Contains(page, `="/`+name+`"`) {
			t.Errorf("index.html does not name %s", name)
		}
	}
}

// files returns the pages and the assets by name.
func files(t *testing.T) map[string]string {
	t.Helper()
	names, err := fs.Glob(os.DirFS("."), "assets/*")
	if err != nil {
		t.Fatal(err)
	}
	bodies := map[string]string{}
	for _, name := range append(names, "index.html", "error.html") {
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

// wantReason checks the body of an error, which an answer to HEAD has not on the wire.
func wantReason(t *testing.T, answer *httptest.ResponseRecorder, reason string) {
	t.Helper()
	wantHeader(t, answer, "Content-Type", "application/json; charset=utf-8")
	var body struct {
		Error struct{ Code, Reason, Message string }
	}
	if err := json.Unmarshal(answer.Body.Bytes(), &body); err != nil {
		t.Fatalf("the body %q is not JSON: %v", answer.Body, err)
	}
	if body.Error.Reason != reason || body.Error.Code == "" || body.Error.Message == "" {
		t.Errorf("error = %+v, want reason %s", body.Error, reason)
	}
}

// wantRefusal checks the header fields of an error.
func wantRefusal(t *testing.T, answer *httptest.ResponseRecorder) {
	t.Helper()
	wantHeader(t, answer, "Cache-Control", "no-store")
	answer.Header().Set("Cache-Control", "no-cache")
	wantSafe(t, answer)
	if answer.Code == http.StatusMethodNotAllowed {
		wantHeader(t, answer, "Allow", "GET, HEAD, OPTIONS")
	}
}

// wantSafe checks the header fields of every answer, whatever its status.
func wantSafe(t *testing.T, answer *httptest.ResponseRecorder) {
	t.Helper()
	wantHeader(t, answer, "X-Content-Type-Options", "nosniff")
	wantHeader(t, answer, "Referrer-Policy", "no-referrer")
	wantHeader(t, answer, "Cache-Control", "no-cache")
	policy := answer.Header().Get("Content-Security-Policy")
	for _, directive := range []string{
		"default-src 'none'", "script-src 'self'", "style-src 'self'", "img-src 'self' data:",
		"connect-src 'self'",
		"base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'",
	} {
		if !slices.Contains(strings.Split(policy, "; "), directive) {
			t.Errorf("Content-Security-Policy %q lacks %s", policy, directive)
		}
	}
}
