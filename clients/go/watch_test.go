package client_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	client "github.com/rafflecast/rafflecast/clients/go"
)

// gateway answers one request after the other, in the test's memory.
type gateway struct {
	answers  []answer
	requests []*http.Request
	at       []time.Time
}

// answer is a response. If open is set, its body does not end before the request does.
type answer struct {
	status int
	header http.Header
	body   string
	open   bool
	beats  int  // heartbeats after the body, 15 s apart
	silent bool // there is no answer
}

func (g *gateway) RoundTrip(r *http.Request) (*http.Response, error) {
	g.requests, g.at = append(g.requests, r), append(g.at, time.Now())
	a := g.answers[len(g.requests)-1]
	if a.status == 0 {
		return nil, errors.New("refused")
	}
	if a.silent {
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	header := http.Header{"Content-Type": {"text/event-stream; charset=utf-8"}}
	maps.Copy(header, a.header)
	body, rest := io.Pipe()
	go func() {
		_, _ = io.WriteString(rest, a.body)
		for range a.beats {
			time.Sleep(15 * time.Second) // by the test's clock
			_, _ = io.WriteString(rest, "event: heartbeat\ndata: {}\n\n")
		}
		if a.open {
			<-r.Context().Done()
			_ = rest.CloseWithError(r.Context().Err())
		}
		_ = rest.Close()
	}()
	return &http.Response{StatusCode: a.status, Status: fmt.Sprint(a.status), Header: header, Body: body, Request: r}, nil
}

// watch reads what a gateway sends until the sequence ends, one line for each of its
// values. It leaves the loop after most of them.
func (g *gateway) watch(ctx context.Context, most int) (lines []string) {
	w := client.Watcher{URL: "http://gateway/", HTTP: &http.Client{Transport: g}}
	for odds, err := range w.Watch(ctx, 1, 2) {
		line := fmt.Sprintf("%d:%d %s", odds.ID, odds.Version, odds.State)
		if err != nil {
			line = "error"
		}
		if e, ok := errors.AsType[*client.Error](err); ok {
			line = e.Code.String() + " " + e.Reason
		}
		if lines = append(lines, line); len(lines) == most {
			break
		}
	}
	return lines
}

func event(id, version int64, state string) string {
	return fmt.Sprintf("id: %[1]d:a:%[2]d\nevent: raffle-winning-probability\ndata: {\"id\":%[1]d,\"version\":%[2]d,\"state\":%[3]q}\n\n", id, version, state)
}

func check(t *testing.T, got []string, want ...string) {
	t.Helper()
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestWatch_ContinuesAfterTheLastEventUntilTheEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := &gateway{answers: []answer{
			{status: 200, body: "retry: 5000\n" + event(1, 1, "OPEN") + "event: heartbeat\ndata: {}\n\n" + event(1, 2, "OPEN") + "id: 1:a:3\nevent: raf"},
			{},
			{status: 503, header: http.Header{"Retry-After": {"20"}, "Content-Type": {"application/json"}}, body: `{"error":{"code":"UNAVAILABLE","reason":"DRAINING","message":"no"}}`},
			{status: 502, header: http.Header{"Content-Type": {"text/html"}}, body: "<p>"},
			{status: 200, body: "event: reset\ndata: {}\n\n" + event(1, 3, "CLOSED")},
			{status: 204},
		}}
		check(t, g.watch(t.Context(), 0), "1:1 OPEN", "1:2 OPEN", "error", "error", "Unavailable DRAINING", "error", "1:3 CLOSED", "error")
		for i, r := range g.requests {
			if want := []string{"", "1:a:2", "1:a:2", "1:a:2", "1:a:2", "1:a:3"}[i]; r.Header.Get("Last-Event-ID") != want {
				t.Errorf("request %d resumes after %q", i, r.Header.Get("Last-Event-ID"))
			}
			if r.URL.String() != "http://gateway/api/v1/raffles/subscribe?id=1&id=2" {
				t.Error(r.URL)
			}
			if i > 0 {
				wait := []time.Duration{5 * time.Second, 5 * time.Second, 20 * time.Second, 5 * time.Second, 5 * time.Second}[i-1]
				if d := g.at[i].Sub(g.at[i-1]); d < wait || d > wait+time.Second {
					t.Errorf("request %d came after %v, not %v", i, d, wait)
				}
			}
		}
	})
}

func TestWatch_EndsWithAFinalError(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := &gateway{answers: []answer{{
			status: 404, header: http.Header{"Content-Type": {"application/json"}},
			body: `{"error":{"code":"NOT_FOUND","reason":"RAFFLE_NOT_FOUND","message":"no"}}`,
		}}}
		check(t, g.watch(t.Context(), 0), "NotFound RAFFLE_NOT_FOUND")
	})
}

func TestWatch_LeavesASilentConnection(t *testing.T) {
	t.Parallel()
	for body, lasts := range map[*answer]time.Duration{
		{status: 200, body: event(1, 1, "OPEN"), open: true}:            45 * time.Second,
		{status: 200, body: event(1, 1, "OPEN"), open: true, beats: 10}: 195 * time.Second,
		{status: 200, open: true}:                                       45 * time.Second,
		{status: 200, silent: true}:                                     10 * time.Second, // as at a machine that has vanished
	} {
		synctest.Test(t, func(t *testing.T) {
			g := &gateway{answers: []answer{*body, {status: 204}}}
			if lines := g.watch(t.Context(), 0); lines[len(lines)-1] != "error" {
				t.Error(lines)
			}
			if d := g.at[1].Sub(g.at[0]); d < lasts || d > lasts+10*time.Second {
				t.Errorf("it was left after %v, not %v", d, lasts)
			}
		})
	}
}

// A goroutine that stays would fail the test.
func TestWatch_LeavesNothingBehind(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := &gateway{answers: []answer{{status: 200, body: event(1, 1, "OPEN") + event(1, 2, "OPEN"), open: true}}}
		check(t, g.watch(t.Context(), 1), "1:1 OPEN")
	})
	synctest.Test(t, func(t *testing.T) {
		g := &gateway{answers: []answer{{status: 200, body: event(1, 1, "OPEN"), open: true}}}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		check(t, g.watch(ctx, 0), "1:1 OPEN", "error")
	})
	synctest.Test(t, func(t *testing.T) {
		g := &gateway{answers: []answer{{status: 200, body: "event: raffle-winning-probability\ndata: {\n\n", open: true}, {status: 204}}}
		check(t, g.watch(t.Context(), 0), "error")
	})
}
