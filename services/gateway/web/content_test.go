package web_test

import (
	"compress/gzip"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rafflecast/rafflecast/services/gateway/internal/odds"
	"github.com/rafflecast/rafflecast/services/gateway/internal/respond"
	"github.com/rafflecast/rafflecast/services/gateway/web"
)

// visitor asks one gateway again and again.
func visitor(from *source) func(target string, header ...string) *httptest.ResponseRecorder {
	responder := &respond.Responder{
		Retry: func() time.Duration { return time.Second },
		Log:   slog.New(slog.DiscardHandler),
	}
	pages := web.Handler(responder, from)
	return func(target string, header ...string) *httptest.ResponseRecorder {
		request := httptest.NewRequest(http.MethodGet, target, nil)
		for i := 0; i < len(header); i += 2 {
			request.Header.Set(header[i], header[i+1])
		}
		recorder := httptest.NewRecorder()
		pages.ServeHTTP(recorder, request)
		return recorder
	}
}

// A crowd that opens a raffle costs one rendering for each version of its odds, language
// and second.
func TestPages_AreRenderedOnceForACrowd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		from := &source{}
		get := visitor(from)
		want := func(n int, why string) {
			t.Helper()
			if from.rendered != n {
				t.Errorf("%s: %d pages were rendered so far, want %d", why, from.rendered, n)
			}
		}
		for range 100 {
			get("/raffle/1")
			get("/raffle/1", "Accept-Encoding", "gzip, br")
		}
		want(1, "200 requests")
		if korean := get("/raffle/1?lang=ko").Body.String(); !strings.Contains(korean, `lang="ko"`) {
			t.Error("the page in Korean is in another language")
		}
		want(2, "another language")
		get("/raffle/1?stage")
		want(3, "the stage")
		from.origin = "http://other.example"
		if other := get("/raffle/1").Body.String(); !strings.Contains(other, "http://other.example/raffle/1") {
			t.Error("the page names another origin")
		}
		want(4, "another origin")
		from.newest = &odds.Update{RaffleID: 1, State: "OPEN", JSON: []byte(strings.Replace(event, `"entries":42`, `"entries":4321`, 1))}
		if newer := get("/raffle/1").Body.String(); !strings.Contains(newer, "4,321") {
			t.Error("the page does not have the newest odds")
		}
		want(5, "newer odds")
		time.Sleep(time.Second) // the clock of a synctest bubble
		get("/raffle/1")
		want(6, "a second later")
		get("/raffle/2")
		get("/raffle/2")
		want(8, "a raffle for members")
	})
}

// A browser that takes gzip gets what was compressed before, and others the same text.
func TestContent_IsCompressedForWhoTakesIt(t *testing.T) {
	t.Parallel()
	get := visitor(&source{})
	plain := get("/raffle/1")
	for accepted, wantGzip := range map[string]bool{
		"gzip": true, "gzip, deflate, br, zstd": true, "br,gzip": true, "": false, "br": false, "gzip;q=0": false, "identity": false,
	} {
		answer := get("/raffle/1", "Accept-Encoding", accepted)
		if got := answer.Header().Get("Content-Encoding") == "gzip"; got != wantGzip {
			t.Errorf("%q: Content-Encoding %q", accepted, answer.Header().Get("Content-Encoding"))
			continue
		}
		text := io.Reader(answer.Body)
		if wantGzip {
			var err error
			if text, err = gzip.NewReader(answer.Body); err != nil {
				t.Error(err)
				continue
			}
		}
		if body, err := io.ReadAll(text); err != nil || string(body) != plain.Body.String() {
			t.Errorf("%q: another text, %v", accepted, err)
		}
		if !strings.Contains(strings.Join(answer.Header().Values("Vary"), ", "), "Accept-Encoding") {
			t.Errorf("%q: Vary is %q", accepted, answer.Header().Values("Vary"))
		}
	}
	// A part is one of the plain bytes.
	if part := get("/raffle/1", "Accept-Encoding", "gzip", "Range", "bytes=0-9"); part.Body.String() != plain.Body.String()[:10] {
		t.Errorf("the first bytes are %q", part.Body.String())
	}
}

// Whoever can set a cookie can't make the page say what it never says.
func TestForm_CookieBringsNoText(t *testing.T) {
	t.Parallel()
	const (
		evil = "Call+0900+666"
		id   = "5f0e4c11-9d86-4c3c-9a0d-5a0eaaaaaaaa"
	)
	for said, want := range map[string]string{
		"is=ENTERED&n=3&ticket=43":       "43",
		"is=ENTERED&n=3&ticket=" + evil:  "", // it is left out
		"is=ENTERED&n=" + evil:           "",
		"is=UNREACHABLE&request=" + id:   id,
		"is=UNREACHABLE&request=" + evil: "",
		"is=" + evil:                     "",
		"is=":                            "",
	} {
		page := get(t, http.MethodGet, "/raffle/1", http.Header{"Cookie": {"rafflecast-said=" + said}})
		body := page.Body.String()
		if page.Code != http.StatusOK || strings.Contains(body, "0900") {
			t.Errorf("%s is on the page", said)
		}
		if !strings.Contains(body, want) || !strings.Contains(body, `id="enter-message"`) {
			t.Errorf("%s: the page has no %q", said, want)
		}
		if got := page.Header().Get("Cache-Control"); got != "private, no-store" {
			t.Errorf("%s: Cache-Control %s", said, got)
		}
	}
}
