package web_test

import (
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
)

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
	if vary := page.Header().Values("Vary"); !slices.Contains(vary, "Accept-Language, Authorization, Cookie") {
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
	{http.MethodPut, "/raffle/1", http.StatusMethodNotAllowed, "METHOD_NOT_ALLOWED"},
	{http.MethodPost, "/raffle/77", http.StatusNotFound, "RAFFLE_NOT_FOUND"},
	{http.MethodPost, "/raffle/3", http.StatusUnauthorized, "TOKEN_MISSING"},
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
	for target, allow := range map[string]string{
		"/": "GET, HEAD, OPTIONS", "/raffle/1": "GET, HEAD, OPTIONS, POST", "/draw/verify.js": "GET, HEAD, OPTIONS",
	} {
		answer := get(t, http.MethodOptions, target, nil)
		wantStatus(t, answer, http.StatusNoContent)
		wantHeader(t, answer, "Allow", allow)
	}
}
