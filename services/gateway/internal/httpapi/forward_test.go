package httpapi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/rafflecast/rafflecast/services/gateway/internal/respond"
)

// forwarding is an API in front of a server that stands for participation.
type forwarding struct {
	*testBundle
	participation *httptest.Server

	mu  sync.Mutex
	got []*http.Request // requests that participation had
}

// setupForwarding starts an API that forwards to participation. change, which may
// be nil, changes the configuration first.
func setupForwarding(t *testing.T, change func(*Config), participation http.HandlerFunc) *forwarding {
	t.Helper()
	f := new(forwarding)
	f.participation = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		f.got = append(f.got, r)
		f.mu.Unlock()
		participation(w, r)
	}))
	t.Cleanup(f.participation.Close)
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f.testBundle = setup(t, transport{}, l, func(b *testBundle) {
		if b.cfg.Participation, err = url.Parse(f.participation.URL); err != nil {
			t.Fatal(err)
		}
		if change != nil {
			change(&b.cfg)
		}
	})
	return f
}

// taken returns the requests that participation had since the last call.
func (f *forwarding) taken() []*http.Request {
	f.mu.Lock()
	defer f.mu.Unlock()
	got := f.got
	f.got = nil
	return got
}

func answerJSON(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		w.Header().Set("Server", "participation")
		w.Header().Set("Set-Cookie", "a=b")
		w.Header().Set("Access-Control-Allow-Origin", "https://inside.example")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

func TestForward_PassesOnWhatABrowserNeeds(t *testing.T) {
	t.Parallel()
	const answer = `{"entry":{}}`
	hidden := []string{"Cookie", "session=1", "Upgrade", "websocket", "Connection", "Upgrade", "Accept-Encoding", "br"}
	f := setupForwarding(t, nil, answerJSON(http.StatusOK, answer))
	f.publish(update(1, 1))
	for _, c := range []struct{ method, path, forwarded string }{
		{"POST", "/api/v1/raffles/1/entries", "POST"},
		{"POST", "/api/v1/raffle/1?memberId=7&requestId=a%3Bb", "POST"},
		{"POST", "/api/v1/raffles/1/entries:withdraw", "POST"},
		{"GET", "/api/v1/raffles/1/entries?memberId=7", "GET"},
		{"GET", "/api/v1/raffles/1/entries?memberId=7&pageSize=2&pageToken=x", "GET"},
		{"HEAD", "/api/v1/raffles/1/entries?memberId=7", "GET"},
		{"GET", "/api/v1/raffles/1/draw", "GET"},
		{"GET", "/api/v1/raffles/1/winners?pageSize=2&pageToken=x", "GET"},
		{"GET", "/api/v1/raffles/1/tickets/3", "GET"},
	} {
		resp := f.get(c.method, c.path, hidden...)
		body, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != http.StatusOK || (string(body) != answer && c.method != "HEAD") {
			t.Errorf("%s %s: %s %q, %v", c.method, c.path, resp.Status, body, err)
		}
		h := resp.Header
		leaked := h.Get("Server") + h.Get("Set-Cookie") + h.Get("Access-Control-Allow-Origin")
		if leaked != "" || h.Get("Cache-Control") != "no-store" {
			t.Errorf("%s %s: %v", c.method, c.path, h)
		}
		got := f.taken()
		if len(got) != 1 || got[0].Method != c.forwarded || got[0].URL.String() != c.path {
			t.Errorf("%s %s is forwarded as %v", c.method, c.path, got)
			continue
		}
		for i := 0; i < len(hidden); i += 2 {
			if got[0].Header.Get(hidden[i]) != "" {
				t.Errorf("%s %s is forwarded with %s", c.method, c.path, hidden[i])
			}
		}
		if got := got[0].Header.Get("X-Forwarded-For"); got != "127.0.0.1" {
			t.Errorf("%s %s is forwarded for %q", c.method, c.path, got)
		}
	}
}

// answerRaw answers with something that is not JSON, and may be cached.
func answerRaw(contentType string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
		_, _ = io.WriteString(w, "raw")
	}
}

func TestForward_PassesOnLogsAndCheckpointsAsTheyAre(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		path, contentType string
		status            int
	}{
		{"/api/v1/raffles/1/log?from=4096", "application/octet-stream", 200},
		{"/api/v1/raffles/1/checkpoint", "text/plain; charset=utf-8", 200},
		{"/api/v1/raffles/1/draw", "text/plain", 502},
		{"/api/v1/raffles/1/log", "text/html", 502},
	} {
		f := setupForwarding(t, nil, answerRaw(c.contentType))
		f.publish(update(1, 1))
		resp := f.get("GET", c.path)
		body, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != c.status && c.status == 200 {
			t.Errorf("%s as %s: %s, %v", c.path, c.contentType, resp.Status, err)
		}
		passed := string(body) == "raw" && strings.Contains(resp.Header.Get("Cache-Control"), "immutable")
		if passed != (c.status == 200) {
			t.Errorf("%s as %s: %q, %v", c.path, c.contentType, body, resp.Header)
		}
	}
}

func TestForward_PassesOnNothingElse(t *testing.T) {
	t.Parallel()
	f := setupForwarding(t, nil, answerJSON(http.StatusOK, `{}`))
	for _, c := range []struct {
		method, path string
		status       int
		reason       string
	}{
		{"GET", "/api/v1/raffles/1/entries", 400, "INVALID"},
		{"GET", "/api/v1/raffles/1/entries?memberId=", 400, "INVALID"},
		{"GET", "/api/v1/raffles/1/entries?memberId=7&memberId=", 400, "INVALID"},
		{"GET", "/api/v1/raffles/1/entries?memberId=7&member_id=", 400, "INVALID"}, // the same field to participation
		{"GET", "/api/v1/raffles/1/entries?memberId=7&raffleId=2", 400, "INVALID"},
		{"GET", "/api/v1/raffles/x/entries?memberId=7", 400, "INVALID"},
		{"POST", "/api/v1/raffles/0/entries", 400, "INVALID"},
		{"POST", "/api/v1/raffle/1?memberId=7;requestId=8", 400, "INVALID"}, // ReverseProxy would drop both
		{"POST", "/api/v1/raffle/1?memberId=%zz", 400, "INVALID"},
		{"POST", "/api/v1/raffle/1?memberId=semi&requestId=aaaaaaaa-5f0e-4c11-9d86-1c3c1a0d5a0e;x", 400, "INVALID"},
		{"POST", "/api/v1/raffle/1?memberId=semi&requestId=aaaaaaaa-5f0e-4c11-9d86-1c3c1a0d5a0e%zz", 400, "INVALID"},
		{"POST", "/api/v1/raffles/1/entries?memberId=semi&%zz=1", 400, "INVALID"},
		{"POST", "/api/v1/raffles/1/entries:withdraw?memberId=semi;ordinal=1", 400, "INVALID"},
		{"POST", "/api/v1/raffles/1/draw", 405, "METHOD_NOT_ALLOWED"},
		{"POST", "/api/v1/raffles/1:draw", 404, "PATH_NOT_FOUND"},
		{"POST", "/api/v1/raffles/1/winners/3:strike", 404, "PATH_NOT_FOUND"},
		{"GET", "/api/v1/raffles/1/winners?withMembers=true", 400, "INVALID"},
		{"GET", "/api/v1/raffles/x/log", 400, "INVALID"},
		{"GET", "/api/v1/raffles/1/log?from=0&from=0", 400, "INVALID"},
		{"POST", "/api/v1/raffles", 405, "METHOD_NOT_ALLOWED"},
		{"PATCH", "/api/v1/raffles/1", 404, "PATH_NOT_FOUND"},
		{"GET", "/api/v1/raffle/1", 405, "METHOD_NOT_ALLOWED"},
		{"DELETE", "/api/v1/raffles/1/entries", 405, "METHOD_NOT_ALLOWED"},
		{"POST", "/api/v1/raffles/1:close", 404, "PATH_NOT_FOUND"},
		{"POST", "/api/v1/raffles/1/close", 404, "PATH_NOT_FOUND"},
		{"POST", "/api/v1/entries:stream", 404, "PATH_NOT_FOUND"},
	} {
		f.refused(c.method, c.path, c.status, c.reason)
		if got := f.taken(); len(got) != 0 {
			t.Errorf("%s %s is forwarded", c.method, c.path)
		}
	}
}

func TestForward_PassesOnParticipationsErrors(t *testing.T) {
	t.Parallel()
	const body = `{"error":{"code":"RESOURCE_EXHAUSTED","reason":"BUSY","message":"too many calls"}}`
	f := setupForwarding(t, nil, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Retry-After", "7")
		answerJSON(http.StatusTooManyRequests, body)(w, r)
	})
	resp := f.get("POST", "/api/v1/raffles/1/entries")
	got, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusTooManyRequests || string(got) != body {
		t.Errorf("%s %q, %v", resp.Status, got, err)
	}
	if after := resp.Header.Get("Retry-After"); after != "7" {
		t.Errorf("Retry-After: %s", after)
	}
}

func TestForward_HidesAnswersThatAreNotParticipations(t *testing.T) {
	t.Parallel()
	f := setupForwarding(t, nil, func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "upstream connect error", http.StatusBadGateway)
	})
	got := f.refused("POST", "/api/v1/raffles/1/entries", 503, "PARTICIPATION_UNAVAILABLE")
	if got.header.Get("Retry-After") == "" || strings.Contains(got.message, "upstream") {
		t.Errorf("%q %v", got.message, got.header)
	}
}

func TestForward_SaysThatParticipationIsUnavailable(t *testing.T) {
	t.Parallel()
	f := setupForwarding(t, nil, answerJSON(http.StatusOK, `{}`))
	f.participation.Close()
	got := f.refused("POST", "/api/v1/raffles/1/entries", 503, "PARTICIPATION_UNAVAILABLE")
	if got.header.Get("Retry-After") == "" || strings.Contains(got.message, "127.0.0.1") {
		t.Errorf("%q %v", got.message, got.header)
	}
}

func TestForwardError_TellsOutagesFromTimeouts(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		err    error
		reason respond.Reason
	}{
		{context.DeadlineExceeded, respond.ParticipationTimeout},
		{&net.OpError{Op: "read", Err: os.ErrDeadlineExceeded}, respond.ParticipationTimeout},
		{&net.OpError{Op: "dial", Err: os.ErrDeadlineExceeded}, respond.ParticipationUnavailable}, // nothing was sent
		{&net.OpError{Op: "read", Err: syscall.ECONNRESET}, respond.ParticipationUnavailable},
		{io.ErrUnexpectedEOF, respond.ParticipationUnavailable},
	} {
		err := forwardError(fmt.Errorf("wrapped: %w", c.err))
		if e, ok := errors.AsType[*respond.Error](err); !ok || e.Reason != c.reason {
			t.Errorf("%v becomes %+v", c.err, err)
		}
	}
}

func TestForward_IsOffWithoutParticipation(t *testing.T) {
	t.Parallel()
	forEach(t, allTransports, nil, func(b *testBundle) {
		b.refused(http.MethodPost, "/api/v1/raffle/1?memberId=7", 404, "PATH_NOT_FOUND")
		b.refused(http.MethodPost, "/api/v1/raffles/1/entries", 404, "PATH_NOT_FOUND")
	})
}
