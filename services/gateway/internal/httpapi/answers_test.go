package httpapi

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
)

func TestRefusals(t *testing.T) {
	t.Parallel()
	each(t, nil, func(w *world) {
		w.publish(update(1, 1))
		for _, c := range []struct {
			path   string
			status int
			code   string
		}{
			{"/api/v1/raffle/2/subscribe", 404, "NOT_FOUND"},
			{"/api/v1/raffle/0/subscribe", 400, "INVALID_ARGUMENT"},
			{"/api/v1/raffle/-1/subscribe", 400, "INVALID_ARGUMENT"},
			{"/api/v1/raffle/x%0Ay/subscribe", 400, "INVALID_ARGUMENT"},
			{"/api/v1/raffle/9223372036854775808/subscribe", 400, "INVALID_ARGUMENT"},
			{"/api/v1/raffle/2/odds", 404, "NOT_FOUND"},
			{"/api/v1/raffle/two/odds", 400, "INVALID_ARGUMENT"},
			{"/api/v1/raffles?state=open", 400, "INVALID_ARGUMENT"},
			{"/api/v1/raffles?pageSize=0", 400, "INVALID_ARGUMENT"},
			{"/api/v1/raffles?pageSize=1001", 400, "INVALID_ARGUMENT"},
			{"/api/v1/raffles?pageToken=x", 400, "INVALID_ARGUMENT"},
			{"/api/v1/raffles?pageToken=9223372036854775807", 400, "INVALID_ARGUMENT"},
			{"/api/v1/nothing", 404, "NOT_FOUND"},
			{"/api/v2/raffle/1/odds", 404, "NOT_FOUND"},
		} {
			refused(w, c.path, c.status, c.code)
		}
		w.feed.notReady = true
		for _, path := range []string{"/api/v1/raffle/2/subscribe", "/api/v1/raffle/2/odds", "/api/v1/raffles"} {
			if resp := refused(w, path, 503, "UNAVAILABLE"); resp.Header.Get("Retry-After") == "" {
				t.Errorf("%s does not say when to come back", path)
			}
		}
	})
}

// refused fails unless a path is answered with this error.
func refused(w *world, path string, status int, code string) *http.Response {
	w.t.Helper()
	resp := w.get(http.MethodGet, path)
	defer resp.Body.Close()
	var body struct {
		Error struct{ Code, Message string }
	}
	decoder := json.NewDecoder(resp.Body)
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&body); err != nil || resp.StatusCode != status || body.Error.Code != code || body.Error.Message == "" {
		w.t.Errorf("%s: %s %+v (%v)", path, resp.Status, body, err)
	}
	if got := resp.Header.Get("Content-Type"); got != "application/json; charset=utf-8" {
		w.t.Errorf("%s: %s", path, got)
	}
	return resp
}

func TestOddsOnce(t *testing.T) {
	t.Parallel()
	each(t, nil, func(w *world) {
		w.publish(update(1, 7))
		const path = "/api/v1/raffle/1/odds"
		resp := w.get(http.MethodGet, path)
		if got := resp.Header.Get("ETag"); got != `"1:7"` {
			t.Errorf("ETag: %s", got)
		}
		if got := resp.Header.Get("Cache-Control"); got != "public, max-age=1" {
			t.Errorf("Cache-Control: %s", got)
		}
		if status, body := w.body(http.MethodGet, path); status != 200 || body != string(update(1, 7).JSON)+"\n" {
			t.Errorf("%d %q", status, body)
		}
		if status, body := w.body(http.MethodHead, path); status != 200 || body != "" {
			t.Errorf("HEAD: %d %q", status, body)
		}
		for tag, want := range map[string]int{
			`"1:7"`: 304, `W/"1:7"`: 304, `"1:6", "1:7"`: 304, "*": 304, `"1:6"`: 200, "1:7": 200, `"2:7"`: 200,
		} {
			if status, _ := w.body(http.MethodGet, path, "If-None-Match", tag); status != want {
				t.Errorf("If-None-Match: %s: %d", tag, status)
			}
		}
	})
}

func TestListPages(t *testing.T) {
	t.Parallel()
	each(t, nil, func(w *world) {
		for id := range int64(7) {
			w.publish(update(id+1, 1, id == 2))
		}
		var pages []string
		token := ""
		for range 10 {
			var body struct {
				Raffles       []struct{ ID int64 }
				NextPageToken *string
			}
			status, text := w.body(http.MethodGet, "/api/v1/raffles?state=OPEN&pageSize=3&pageToken="+token)
			if err := json.Unmarshal([]byte(text), &body); err != nil || status != 200 || body.NextPageToken == nil {
				t.Fatalf("%d %q: %v", status, text, err)
			}
			pages = append(pages, fmt.Sprint(body.Raffles))
			if token = *body.NextPageToken; token == "" {
				break
			}
		}
		if got, want := strings.Join(pages, " "), "[{1} {2} {4}] [{5} {6} {7}]"; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		if status, text := w.body(http.MethodGet, "/api/v1/raffles?state=DRAWN"); status != 200 || text != `{"raffles":[],"nextPageToken":""}`+"\n" {
			t.Errorf("none: %d %q", status, text)
		}
	})
}

func TestEntriesAreForwarded(t *testing.T) {
	t.Parallel()
	var got *http.Request
	participation := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r
		w.WriteHeader(http.StatusTeapot)
	}))
	to, err := url.Parse(participation.URL)
	if err != nil {
		t.Fatal(err)
	}
	edge := httptest.NewServer(New(Config{Participation: to, BodyTimeout: time.Minute}, newFakeFeed(), nil).Handler(http.NotFoundHandler()))
	defer edge.Close()
	post := func() *http.Response {
		r, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, edge.URL+"/api/v1/raffle/1?memberId=7", strings.NewReader("{}"))
		r.Header.Set("Cookie", "session=1")
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp
	}
	if resp := post(); resp.StatusCode != http.StatusTeapot {
		t.Errorf("got %s", resp.Status)
	}
	if got.URL.String() != "/api/v1/raffle/1?memberId=7" || got.Header.Get("Cookie") != "" || got.Header.Get("X-Forwarded-For") != "127.0.0.1" {
		t.Errorf("forwarded as %s %v", got.URL, got.Header)
	}
	participation.Close()
	if resp := post(); resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "" {
		t.Errorf("with participation away: %s %v", resp.Status, resp.Header)
	}
}

func TestEntriesAreNotTakenWhereNotConfigured(t *testing.T) {
	t.Parallel()
	each(t, nil, func(w *world) {
		if status, body := w.body(http.MethodPost, "/api/v1/raffle/1?memberId=7"); status != 404 || !strings.Contains(body, "NOT_FOUND") {
			t.Errorf("%d %q", status, body)
		}
	})
}
