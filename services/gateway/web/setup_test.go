package web_test

import (
	"cmp"
	"encoding/json"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
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
	newest   *odds.Update // of raffle 1; nil: open
	rendered int          // pages of raffles
}

var (
	open        = &odds.Update{RaffleID: 1, State: "OPEN", JSON: []byte(event)}
	membersOnly = &odds.Update{RaffleID: 2, State: "OPEN", JSON: []byte(event), MembersOnly: true}
)

const event = `{"id":1,"epoch":"a","version":7,"state":"OPEN","title":"Signed <guitar>","entries":42,"members":40,` +
	`"winners":1,"maxEntriesPerMember":3,"opensAt":null,"closesAt":"2126-11-28T12:00:00.000Z","at":"2026-11-26T12:00:00.000Z"}`

func (s *source) Raffle(_ *http.Request, id string) (*odds.Update, error) {
	switch {
	case id == "1":
		return cmp.Or(s.newest, open), nil
	case id == "2":
		return membersOnly, nil
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

func (s *source) Course(int64) []course.Point {
	s.rendered++
	return []course.Point{{At: 1, Entries: 2}}
}

func (s *source) Origin(*http.Request) string { return cmp.Or(s.origin, "https://raffles.example") }

func (s *source) Enter(*http.Request, int64, []byte) (status int, answer []byte) {
	return http.StatusOK, []byte(`{"memberEntries":2,"entry":{"ticket":"43"}}`)
}

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
		if allow := answer.Header().Get("Allow"); allow != "GET, HEAD, OPTIONS" && allow != "GET, HEAD, OPTIONS, POST" {
			t.Errorf("Allow = %q", allow)
		}
	}
}

// wantSafe checks the header fields of every answer, whatever its status.
func wantSafe(t *testing.T, answer *httptest.ResponseRecorder) {
	t.Helper()
	wantHeader(t, answer, "X-Content-Type-Options", "nosniff")
	wantHeader(t, answer, "Referrer-Policy", "same-origin")
	wantHeader(t, answer, "Cross-Origin-Opener-Policy", "same-origin")
	if !strings.Contains(answer.Header().Get("Permissions-Policy"), "camera=()") {
		t.Errorf("Permissions-Policy: %q", answer.Header().Get("Permissions-Policy"))
	}
	policy := answer.Header().Get("Content-Security-Policy")
	for _, directive := range []string{
		"default-src 'none'", "script-src 'self'", "img-src 'self' data:",
		"connect-src 'self'",
		"base-uri 'none'", "form-action 'self'", "frame-ancestors 'none'",
	} {
		if !slices.Contains(strings.Split(policy, "; "), directive) {
			t.Errorf("Content-Security-Policy %q lacks %s", policy, directive)
		}
	}
}
