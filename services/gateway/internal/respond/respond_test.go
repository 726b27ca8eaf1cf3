package respond

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"
)

func newResponder(log *bytes.Buffer, refused *[]string) *Responder {
	return &Responder{
		Retry:   func() time.Duration { return 1200 * time.Millisecond },
		Refused: func(label string) { *refused = append(*refused, label) },
		Log:     slog.New(slog.NewTextHandler(log, nil)),
	}
}

// answerTo returns the answer to an error.
func answerTo(t *testing.T, re *Responder, err error, accept string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
	r.Header.Set("Accept", accept)
	w := httptest.NewRecorder()
	re.HandlerFunc(func(http.ResponseWriter, *http.Request) error { return err }).ServeHTTP(w, r)
	return w
}

func TestResponder_WritesOneShapeOfError(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	var refused []string
	err := fmt.Errorf("wrapped: %w", Errorf(RaffleNotFound, "raffle %d does not exist", 7))
	w := answerTo(t, newResponder(&log, &refused), err, "*/*")
	const want = `{"error":{"code":"NOT_FOUND","reason":"RAFFLE_NOT_FOUND","message":"raffle 7 does not exist"}}` + "\n"
	if got := w.Body.String(); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if w.Code != 404 || w.Header().Get("Cache-Control") != "no-store" || w.Header().Get("Retry-After") != "" {
		t.Errorf("%d %v", w.Code, w.Header())
	}
	if fmt.Sprint(refused) != "[raffle_not_found]" || log.Len() != 0 {
		t.Errorf("refused %v, log %s", refused, &log)
	}
}

func TestResponder_SaysWhenToComeBack(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	var refused []string
	re := newResponder(&log, &refused)
	if got := answerTo(t, re, Errorf(Draining, "retry"), "").Header().Get("Retry-After"); got != "2" {
		t.Errorf("Retry-After of 1.2 s: %s", got)
	}
	re.Retry = func() time.Duration { return 0 }
	if got := answerTo(t, re, Errorf(Draining, "retry"), "").Header().Get("Retry-After"); got != "1" {
		t.Errorf("Retry-After of 0 s: %s", got)
	}
}

func TestResponder_HidesInternalErrors(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	var refused []string
	w := answerTo(t, newResponder(&log, &refused), errors.New("pq: secret"), "")
	body := w.Body.String()
	if w.Code != 500 || strings.Contains(body, "secret") || !strings.Contains(body, `"INTERNAL"`) {
		t.Errorf("%d %s", w.Code, body)
	}
	if !strings.Contains(log.String(), "pq: secret") {
		t.Errorf("log: %s", &log)
	}
}

func TestResponder_AnswersPeopleInHTML(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	var refused []string
	re := newResponder(&log, &refused)
	html := re.WithHTML(func(_ *http.Request, reason Reason) []byte { return fmt.Appendf(nil, "<h1>%s", reason) })
	const browser = "text/html,application/xhtml+xml,*/*;q=0.8"
	w := answerTo(t, html, Errorf(NotReady, "not ready"), browser)
	h := w.Header()
	if w.Code != 503 || w.Body.String() != "<h1>NOT_READY" || h.Get("Retry-After") != "2" {
		t.Errorf("%d %s %v", w.Code, w.Body, h)
	}
	if got := h.Get("Content-Type"); got != "text/html; charset=utf-8" {
		t.Errorf("content type: %s", got)
	}
	for name, w := range map[string]*httptest.ResponseRecorder{
		"accepts anything":       answerTo(t, html, Errorf(NotReady, "not ready"), "*/*"),
		"a Responder without it": answerTo(t, re, Errorf(NotReady, "not ready"), browser),
	} {
		if !json.Valid(w.Body.Bytes()) || w.Header().Get("Content-Type") != "application/json; charset=utf-8" {
			t.Errorf("%s: %s %v", name, w.Body, w.Header())
		}
	}
	if len(refused) != 3 {
		t.Errorf("refused %v", refused)
	}
}

func TestReasons_HaveAStatusACodeAndALabel(t *testing.T) {
	t.Parallel()
	if len(Labels()) != len(answers) {
		t.Errorf("%d labels of %d reasons", len(Labels()), len(answers))
	}
	upperSnake := regexp.MustCompile(`^[A-Z][A-Z_]*[A-Z]$`)
	for reason, a := range answers {
		if !upperSnake.MatchString(string(reason)) || strings.ToUpper(reason.Label()) != string(reason) {
			t.Errorf("reason %q, label %q", reason, reason.Label())
		}
		if http.StatusText(a.status) == "" || a.code == "" {
			t.Errorf("%s: %+v", reason, a)
		}
		if temporary := a.status == 429 || a.status >= 502; a.retry != temporary {
			t.Errorf("%s: status %d, retry %t", reason, a.status, a.retry)
		}
	}
}

func TestMethods_AllowHeadWithGet(t *testing.T) {
	t.Parallel()
	nothing := func(http.ResponseWriter, *http.Request) error { return nil }
	for want, m := range map[string]Methods{
		"GET, HEAD, OPTIONS":       {"GET": nothing},
		"OPTIONS, POST":            {"POST": nothing},
		"GET, HEAD, OPTIONS, POST": {"GET": nothing, "POST": nothing},
	} {
		w := httptest.NewRecorder()
		new(Responder).Handler(m).ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodOptions, "/", nil))
		if got := w.Header().Get("Allow"); w.Code != 204 || got != want {
			t.Errorf("%d, Allow: %s, want %s", w.Code, got, want)
		}
	}
}
