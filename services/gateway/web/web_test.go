package web_test

import (
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rafflecast/rafflecast/services/gateway/internal/course"
	"github.com/rafflecast/rafflecast/services/gateway/internal/odds"
	"github.com/rafflecast/rafflecast/services/gateway/internal/respond"
	"github.com/rafflecast/rafflecast/services/gateway/web"
)

// source has raffle 1, which is open, and the raffles of its list.
type source struct {
	list     []*odds.Update
	isMember bool
	origin   string
}

const event = `{"id":1,"epoch":"a","version":7,"state":"OPEN","title":"Signed <guitar>","entries":42,"members":40,` +
	`"winners":1,"maxEntriesPerMember":3,"opensAt":null,"closesAt":"2126-11-28T12:00:00.000Z","at":"2026-11-26T12:00:00.000Z"}`

func (s *source) Raffle(_ *http.Request, id string) (*odds.Update, error) {
	switch {
	case id == "1":
		return &odds.Update{RaffleID: 1, State: "OPEN", JSON: []byte(event)}, nil
	case id == "2":
		return &odds.Update{RaffleID: 2, State: "OPEN", JSON: []byte(event), MembersOnly: true}, nil
	case id == "3":
		return nil, respond.Errorf(respond.TokenMissing, "the request needs a token")
	case regexp.MustCompile(`^[1-9][0-9]{0,17}$`).MatchString(id):
		return nil, respond.Errorf(respond.RaffleNotFound, "raffle %s does not exist", id)
	}
	return nil, respond.Errorf(respond.Invalid, "id: must be a whole number (got %q)", id)
}

func (s *source) IsMember(*http.Request) bool { return s.isMember }

func (s *source) Raffles(_ bool, states ...string) (found []*odds.Update, _ error) {
	for _, u := range s.list {
		if slices.Contains(states, u.State) {
			found = append(found, u)
		}
	}
	return found, nil
}

func (s *source) Course(int64) []course.Point { return []course.Point{{At: 1, Entries: 2}} }

func (s *source) Origin(*http.Request) string { return cmp.Or(s.origin, "https://raffles.example") }

func (s *source) Entering() (possible, needsToken bool) { return true, false }

// get asks a gateway which has raffle 1, raffle 2 that only members see, and raffle 3 that
// this sender may not see.
func get(t *testing.T, method, target string, header http.Header) *httptest.ResponseRecorder {
	t.Helper()
	return getFrom(t, &source{}, method, target, header)
}

func getFrom(t *testing.T, from *source, method, target string, header http.Header) *httptest.ResponseRecorder {
	t.Helper()
	responder := &respond.Responder{
		Retry: func() time.Duration { return time.Second },
		Log:   slog.New(slog.DiscardHandler),
	}
	request := httptest.NewRequestWithContext(t.Context(), method, target, nil)
	maps.Copy(request.Header, header)
	recorder := httptest.NewRecorder()
	web.Handler(responder, from).ServeHTTP(recorder, request)
	return recorder
}

// script returns the address of the page's script.
func script(t *testing.T) string {
	t.Helper()
	page := get(t, http.MethodGet, "/raffle/1", nil).Body.String()
	found := regexp.MustCompile(`src="(/assets/page-[0-9a-f]{16}\.js)"`).FindStringSubmatch(page)
	if found == nil {
		t.Fatalf("the page has no script: %s", page)
	}
	return found[1]
}

// fromBrowser is the header of a page that a person opens.
var fromBrowser = http.Header{"Accept": {"text/html,application/xhtml+xml,*/*;q=0.8"}}

func TestHandler_ServesPageAndAssets(t *testing.T) {
	t.Parallel()
	const html, javaScript = "text/html; charset=utf-8", "text/javascript; charset=utf-8"
	for target, want := range map[string]struct{ contentType, cache string }{
		"/":                   {html, "public, max-age=1"},
		"/?show=ended":        {html, "public, max-age=1"},
		"/raffle/1":           {html, "public, max-age=1"},
		"/raffle/1?stage":     {html, "public, max-age=1"},
		"/raffle/2":           {html, "private, no-store"},
		script(t):             {javaScript, "public, max-age=31536000, immutable"},
		"/draw/verify.js":     {javaScript, "no-cache"},
		"/assets/favicon.svg": {"image/svg+xml", "no-cache"},
		"/assets/share.png":   {"image/png", "no-cache"},
		// Of the release before, while another instance serves its page.
		"/assets/page-0123456789abcdef.js": {javaScript, "no-store"},
	} {
		t.Run(target, func(t *testing.T) {
			t.Parallel()
			full := get(t, http.MethodGet, target, nil)
			wantStatus(t, full, http.StatusOK)
			wantHeader(t, full, "Content-Type", want.contentType)
			wantHeader(t, full, "Cache-Control", want.cache)
			wantSafe(t, full)
			if full.Body.Len() == 0 {
				t.Error("the body is empty")
			}

			head := get(t, http.MethodHead, target, nil)
			wantStatus(t, head, http.StatusOK)
			wantHeader(t, head, "Content-Type", want.contentType)
			if head.Body.Len() != 0 {
				t.Error("HEAD answered with a body")
			}
		})
	}
}

func TestHandler_CompressesWhatIsLarge(t *testing.T) {
	t.Parallel()
	header := http.Header{"Accept-Encoding": {"gzip"}}
	for _, target := range []string{"/raffle/1", script(t)} {
		plain, small := get(t, http.MethodGet, target, nil), get(t, http.MethodGet, target, header)
		wantHeader(t, small, "Content-Encoding", "gzip")
		wantHeader(t, plain, "Content-Encoding", "")
		if !slices.Contains(small.Header().Values("Vary"), "Accept-Encoding") {
			t.Errorf("%s: Vary %q", target, small.Header().Values("Vary"))
		}
		if small.Body.Len() > plain.Body.Len()/2 {
			t.Errorf("%s: %d bytes, compressed %d", target, plain.Body.Len(), small.Body.Len())
		}
		// What a browser has, compressed, is not sent again.
		again := get(t, http.MethodGet, target, http.Header{
			"Accept-Encoding": {"gzip"}, "If-None-Match": {small.Header().Get("ETag")},
		})
		if target != "/raffle/1" { // whose time moves on
			wantStatus(t, again, http.StatusNotModified)
		}
	}
}

// All that a visitor wants to know is there before any script.
func TestRaffle_IsInTheHTML(t *testing.T) {
	t.Parallel()
	page := get(t, http.MethodGet, "/raffle/1", http.Header{"Accept-Language": {"fr, en-GB;q=0.8, ko;q=0.5"}})
	for _, want := range []string{
		`<html lang="en">`, `<title>Signed &lt;guitar&gt; – Rafflecast</title>`, `<bdi>Signed &lt;guitar&gt;</bdi>`,
		">1 in 43<", ">2.33%<", "Enter now, and your chance is", "40 people hold 42 entries; 1 wins; closes Thu, 28 Nov 2126, 12:00 UTC.",
		"Up to 3 entries for each member.",
		`<meta property="og:title" content="Signed &lt;guitar&gt;">`,
		`<meta property="og:description" content="Enter now, and your chance is 1 in 43 · 40 people`,
		`<meta property="og:url" content="https://raffles.example/raffle/1">`,
		`<meta property="og:image" content="https://raffles.example/assets/share.png">`,
		`<meta name="twitter:card" content="summary_large_image">`,
		`"course":[[1,2]]`, "<noscript>",
	} {
		if !strings.Contains(page.Body.String(), want) {
			t.Errorf("the page lacks %s", want)
		}
	}
	if vary := page.Header().Values("Vary"); !slices.Contains(vary, "Accept-Language, Cookie") {
		t.Errorf("Vary: %q", vary)
	}
}

func TestLanguage_IsChosenOrPreferred(t *testing.T) {
	t.Parallel()
	cookie := func(lang string) http.Header { return http.Header{"Cookie": {"lang=" + lang}} }
	for _, c := range []struct {
		target string
		header http.Header
		want   string
	}{
		{"/raffle/1", http.Header{"Accept-Language": {"ko-KR,ko;q=0.9,en;q=0.8"}}, "ko"},
		{"/raffle/1", http.Header{"Accept-Language": {"de,en;q=0.8,ko;q=0.5"}}, "en"},
		{"/raffle/1", http.Header{"Accept-Language": {"de"}}, "en"},
		{"/raffle/1", nil, "en"},
		{"/raffle/1", cookie("ko"), "ko"},
		{"/raffle/1", cookie("xx"), "en"},
		{"/raffle/1?lang=ko", nil, "ko"},
		{"/raffle/1?lang=en", cookie("ko"), "en"},
		{"/?lang=ko", nil, "ko"},
		{"/nothing?lang=ko", fromBrowser, "ko"},
	} {
		answer := get(t, http.MethodGet, c.target, c.header)
		if body := answer.Body.String(); !strings.Contains(body, `<html lang="`+c.want+`">`) {
			t.Errorf("%s %v: not in %s", c.target, c.header, c.want)
		}
	}
	chosen := get(t, http.MethodGet, "/raffle/1?lang=ko", nil)
	if got := chosen.Header().Get("Set-Cookie"); !strings.HasPrefix(got, "lang=ko; Path=/; Max-Age=") {
		t.Errorf("the choice is not kept: %q", got)
	}
	if got := get(t, http.MethodGet, "/raffle/1?lang=xx", nil).Header().Get("Set-Cookie"); got != "" {
		t.Errorf("an unknown language is kept: %q", got)
	}
}

func TestStage_HasACodeOfTheRafflesAddress(t *testing.T) {
	t.Parallel()
	page := get(t, http.MethodGet, "/raffle/1?stage", nil).Body.String()
	for _, want := range []string{`<body class="stage">`, `aria-label="https://raffles.example/raffle/1"`, `href="/raffle/1"`} {
		if !strings.Contains(page, want) {
			t.Errorf("the stage lacks %s", want)
		}
	}
	if strings.Contains(page, "<form") {
		t.Error("the stage has a form")
	}
	if plain := get(t, http.MethodGet, "/raffle/1", nil).Body.String(); strings.Contains(plain, `class="qr-paper"`) {
		t.Error("the page has a code")
	}
}

func TestHandler_LetsPagesOfAllOriginsImportTheClient(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"rafflecast.js", "connection.js", "element.js", "sse.js", "tabs.js"} {
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
	wantHeader(t, get(t, http.MethodGet, "/draw/verify.js", nil), "Access-Control-Allow-Origin", "")
}

func TestHandler_AnswersConditionalRequests(t *testing.T) {
	t.Parallel()
	etag := get(t, http.MethodGet, "/draw/verify.js", nil).Header().Get("ETag")
	if !regexp.MustCompile(`^"[0-9a-f]{32}"$`).MatchString(etag) {
		t.Fatalf("ETag = %q, want a strong one of 32 hexadecimal digits", etag)
	}
	if other := get(t, http.MethodGet, "/draw/log.js", nil).Header().Get("ETag"); other == etag {
		t.Error("two files share an ETag")
	}

	same := get(t, http.MethodGet, "/draw/verify.js", http.Header{"If-None-Match": {etag}})
	wantStatus(t, same, http.StatusNotModified)
	wantSafe(t, same)
	if same.Body.Len() != 0 {
		t.Error("304 came with a body")
	}
	other := http.Header{"If-None-Match": {`"of another release"`}}
	old := get(t, http.MethodGet, "/draw/verify.js", other)
	wantStatus(t, old, http.StatusOK)
}

func TestHandler_AnswersRanges(t *testing.T) {
	t.Parallel()
	const target = "/draw/verify.js"
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
	{http.MethodGet, "/raffle/3", http.StatusUnauthorized, "TOKEN_MISSING"},
	{http.MethodGet, "/assets/style.css", http.StatusNotFound, "PATH_NOT_FOUND"},
	{http.MethodGet, "/assets/page-x.css", http.StatusNotFound, "PATH_NOT_FOUND"},
	{http.MethodGet, "/index.html", http.StatusNotFound, "PATH_NOT_FOUND"},
	{http.MethodGet, "/error.html", http.StatusNotFound, "PATH_NOT_FOUND"},
	{http.MethodGet, "/assets/", http.StatusNotFound, "PATH_NOT_FOUND"},
	{http.MethodGet, "/assets/web.go", http.StatusNotFound, "PATH_NOT_FOUND"},
	{http.MethodGet, "/favicon.ico", http.StatusNotFound, "PATH_NOT_FOUND"},
	{http.MethodPost, "/nothing", http.StatusNotFound, "PATH_NOT_FOUND"},
	{http.MethodPost, "/", http.StatusMethodNotAllowed, "METHOD_NOT_ALLOWED"},
	{http.MethodPost, "/raffle/1", http.StatusMethodNotAllowed, "METHOD_NOT_ALLOWED"},
	{http.MethodDelete, "/draw/verify.js", http.StatusMethodNotAllowed, "METHOD_NOT_ALLOWED"},
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
			if !strings.HasPrefix(body, "<!doctype html>") || strings.Contains(body, "<script>") || !strings.Contains(body, "error-heading") {
				t.Errorf("the page for people: %s", body)
			}
		})
	}
}

// Bad addresses are pages that say what is wrong, in the reader's language.
func TestErrors_AreInTheReadersLanguage(t *testing.T) {
	t.Parallel()
	for target, want := range map[string][2]string{
		"/raffle/77":  {"There is no such raffle", "없는 래플이에요"},
		"/raffle/x":   {"This is no raffle&#39;s number", "래플 번호가 아니에요"},
		"/raffle/3":   {"This raffle is for members", "회원만 볼 수 있는 래플이에요"},
		"/nothing":    {"There is nothing at this address", "이 주소에는 아무것도 없어요"},
		"/raffle/1/x": {"There is nothing at this address", "이 주소에는 아무것도 없어요"},
	} {
		for i, language := range []string{"en", "ko"} {
			header := http.Header{"Accept": fromBrowser["Accept"], "Accept-Language": {language}}
			if body := get(t, http.MethodGet, target, header).Body.String(); !strings.Contains(body, "<h1 id=\"error-heading\">"+want[i]) {
				t.Errorf("%s in %s: %s", target, language, body)
			}
		}
	}
}

func TestHandler_LeadsToTheList(t *testing.T) {
	t.Parallel()
	for _, target := range []string{"/raffle", "/raffle/", "/raffles", "/raffles/"} {
		answer := get(t, http.MethodGet, target, nil)
		wantStatus(t, answer, http.StatusPermanentRedirect)
		wantHeader(t, answer, "Location", "/?show=open")
	}
}

func TestHandler_RedirectsToThePathWithoutSlash(t *testing.T) {
	t.Parallel()
	answer := get(t, http.MethodGet, "/raffle/1/?lang=ko", fromBrowser)
	wantStatus(t, answer, http.StatusPermanentRedirect)
	wantHeader(t, answer, "Location", "/raffle/1?lang=ko")
}

func TestHandler_AnswersOptions(t *testing.T) {
	t.Parallel()
	for _, target := range []string{"/", "/raffle/1", "/draw/verify.js"} {
		answer := get(t, http.MethodOptions, target, nil)
		wantStatus(t, answer, http.StatusNoContent)
		wantHeader(t, answer, "Allow", "GET, HEAD, OPTIONS")
	}
}

// The content security policy forbids these, which only a browser would notice.
func TestPages_HaveNothingInlineThatRuns(t *testing.T) {
	t.Parallel()
	for _, target := range []string{"/", "/raffle/1", "/raffle/1?stage", "/nothing", "/raffle/3"} {
		page := get(t, http.MethodGet, target, fromBrowser)
		body := page.Body.String()
		scripts := regexp.MustCompile(`(?is)<script([^>]*)>(.*?)</script>`)
		for _, script := range scripts.FindAllStringSubmatch(body, -1) {
			isData := script[1] == ` type="application/json" id="data"`
			if !isData && (!strings.Contains(script[1], `src="/assets/`) || script[2] != "") {
				t.Errorf("inline script: %s", script[0])
			}
		}
		style := regexp.MustCompile(`(?s)<style>(.*?)</style>`).FindStringSubmatch(body)
		hash := sha256.Sum256([]byte(style[1]))
		if policy := page.Header().Get("Content-Security-Policy"); !strings.Contains(policy, base64.StdEncoding.EncodeToString(hash[:])) {
			t.Errorf("%s: the policy %s does not allow the page's style", target, policy)
		}
		for what, pattern := range map[string]string{
			"a style attribute": `(?i)<[^>]*\sstyle\s*=`,
			"an event handler":  `(?i)<[^>]*\son[a-z]+\s*=`,
			"a javascript URL":  `(?i)javascript:`,
		} {
			if found := regexp.MustCompile(pattern).FindString(strings.ReplaceAll(body, style[0], "")); found != "" {
				t.Errorf("%s has %s: %q", target, what, found)
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
	address := regexp.MustCompile(`(?:https?:)?//[a-z0-9.-]+\.[a-z]+[^\s"]*`)
	for name, body := range files(t) {
		for _, found := range address.FindAllString(body, -1) {
			if found != "http://www.w3.org/2000/svg" {
				t.Errorf("%s refers to %s", name, found)
			}
		}
	}
	reference := regexp.MustCompile(`(?:src|href)="(/[^"]*)"`)
	for _, match := range reference.FindAllStringSubmatch(get(t, http.MethodGet, "/raffle/1", nil).Body.String(), -1) {
		wantStatus(t, get(t, http.MethodGet, strings.ReplaceAll(match[1], "&amp;", "&"), nil), http.StatusOK)
	}
}

// files returns the pages and the assets by name.
func files(t *testing.T) map[string]string {
	t.Helper()
	bodies := map[string]string{}
	for _, name := range slices.Concat(glob(t, "assets/*.js"), glob(t, "assets/*.css"), glob(t, "html/*"), glob(t, "bundle/*")) {
		body, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		bodies[name] = string(body)
	}
	return bodies
}

func glob(t *testing.T, pattern string) []string {
	t.Helper()
	names, err := filepath.Glob(pattern)
	if err != nil || len(names) == 0 {
		t.Fatalf("%s: %d files, %v", pattern, len(names), err)
	}
	return names
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
	wantHeader(t, answer, "Cross-Origin-Opener-Policy", "same-origin")
	if !strings.Contains(answer.Header().Get("Permissions-Policy"), "camera=()") {
		t.Errorf("Permissions-Policy: %q", answer.Header().Get("Permissions-Policy"))
	}
	policy := answer.Header().Get("Content-Security-Policy")
	for _, directive := range []string{
		"default-src 'none'", "script-src 'self'", "img-src 'self' data:",
		"connect-src 'self'",
		"base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'",
	} {
		if !slices.Contains(strings.Split(policy, "; "), directive) {
			t.Errorf("Content-Security-Policy %q lacks %s", policy, directive)
		}
	}
}
