package watch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rafflecast/rafflecast/services/internal/command"
	"github.com/rafflecast/rafflecast/services/internal/config/configtest"
	"github.com/rafflecast/rafflecast/services/rafflecast/internal/console"
	"github.com/rafflecast/rafflecast/services/test/testenv"
)

// scriptedGateway answers each request with the next of its answers: a status, or the text
// of a stream that then ends, or nothing if it is nil. After the last it answers 204.
type scriptedGateway struct {
	mu       sync.Mutex
	answers  []any
	requests []http.Header
}

func (s *scriptedGateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests = append(s.requests, r.Header)
	if len(s.answers) == 0 {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	answer := s.answers[0]
	s.answers = s.answers[1:]
	if answer == nil {
		panic(http.ErrAbortHandler) // which closes the connection
	}
	if status, ok := answer.(int); ok {
		w.WriteHeader(status)
		_, _ = io.WriteString(
			w,
			`{"error":{"code":"NOT_FOUND","reason":"RAFFLE_NOT_FOUND","message":"raffle 7 does not exist"}}`,
		)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	_, _ = io.WriteString(w, "retry: 1\n\n"+answer.(string))
}

// oddsEvent returns an event of raffle 7, with more fields of its data.
func oddsEvent(version int, state, more string) string {
	return fmt.Sprintf("id: 7:k3:%[1]d\nevent: raffle-winning-probability\n"+
		"data: {\"id\":7,\"version\":%[1]d,\"state\":%[2]q,\"title\":\"래플\",\"entries\":%[1]d,\"members\":%[1]d,\"winners\":1%[3]s}\n\n", version, state, more)
}

// run watches raffle 7 at a gateway with these answers.
func run(
	t *testing.T,
	terminal bool,
	answers []any,
	args ...string,
) (out, notes string, s *scriptedGateway, err error) {
	t.Helper()
	s = &scriptedGateway{answers: answers}
	gateway := httptest.NewServer(s)
	defer gateway.Close()
	var cfg Config
	configtest.Parse(t, &cfg, append([]string{"7", "--gateway=" + gateway.URL}, args...)...)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var written, noted bytes.Buffer
	err = Run(ctx, cfg, &console.Console{Out: &written, Err: &noted, OutTerminal: terminal})
	return written.String(), noted.String(), s, err
}

func TestWatch_ComesBackUntilTheOddsAreFinal(t *testing.T) {
	t.Parallel()
	drawn := oddsEvent(4, "DRAWN", `,"winningTickets":[{"ticket":3},{"ticket":9}]`)
	out, notes, s, err := run(t, false, []any{
		// net/http repeats a request by itself if a connection that it has kept is closed.
		oddsEvent(1, "OPEN", `,"winnerProbability":100`), nil, nil, 503,
		oddsEvent(2, "OPEN", `,"winnerProbability":50`),
		oddsEvent(3, "CLOSED", `,"winnerProbability":33.3,"drawsAt":"2100-01-01T00:00:00Z"`) + drawn,
	}, "--token=secret")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(out), "\n")
	for i, want := range []string{
		"OPEN       1 entry of 1 member, 1 wins  each entry certain to win", "OPEN       2 entries of 2 members, 1 wins  each entry 1 in 2 (50 %)",
		"CLOSED     3 entries of 3 members, 1 wins  each entry 1 in 3 (33.3 %)  draws in ", "DRAWN      4 entries of 4 members, 1 wins  drawn: tickets 3, 9 win",
	} {
		if len(lines) != 4 || !strings.Contains(lines[i], want) {
			t.Fatalf("line %d: want %q in\n%s", i, want, out)
		}
	}
	for _, want := range []string{
		"the connection is lost; trying again in 0s", "the gateway does not answer; trying again in 0s",
		"the gateway answers 503; trying again in 0s",
	} {
		if !strings.Contains(notes, want) {
			t.Errorf("%q is not in\n%s", want, notes)
		}
	}
	last := s.requests[len(s.requests)-1]
	if last.Get("Last-Event-ID") != "7:k3:2" || last.Get("Authorization") != "Bearer secret" {
		t.Errorf("the last request: %v", last)
	}
}

func TestWatch_CountsDownByTheServersClock(t *testing.T) {
	t.Parallel()
	server := time.Now().Add(26 * time.Hour)
	at := server.Add(90 * time.Minute).UTC().Format(time.RFC3339)
	gateway := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		w.Header().Set("Date", server.UTC().Format(http.TimeFormat))
		_, _ = io.WriteString(w, oddsEvent(1, "OPEN", fmt.Sprintf(`,"closesAt":%q`, at))+
			fmt.Sprintf("event: heartbeat\ndata: {\"at\":%q}\n\n", server.Add(time.Hour).Format(time.RFC3339Nano))+
			oddsEvent(2, "OPEN", fmt.Sprintf(`,"closesAt":%q`, at))+oddsEvent(3, "CANCELLED", ""))
	}))
	defer gateway.Close()
	var cfg Config
	configtest.Parse(t, &cfg, "7", "--gateway="+gateway.URL)
	var out, notes bytes.Buffer
	if err := Run(t.Context(), cfg, &console.Console{Out: &out, Err: &notes}); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(out.String(), "\n")
	if len(lines) != 4 || !strings.Contains(lines[0], "closes in 1h") {
		t.Errorf("by the answer's date: %s", out.String())
	}
	if len(lines) != 4 || !regexp.MustCompile(`closes in \d+m`).MatchString(lines[1]) {
		t.Errorf("by the heartbeat: %s", out.String())
	}
}

func TestWatch_AsJSON(t *testing.T) {
	t.Parallel()
	out, _, _, err := run(t, true, []any{oddsEvent(1, "OPEN", "") + oddsEvent(2, "CANCELLED", "")}, "--output=json")
	if err != nil || strings.Count(out, "\n") != 2 || !strings.HasPrefix(out, `{"id":7,"version":1,"state":"OPEN"`) {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestWatch_RedrawsInPlaceOnATerminal(t *testing.T) {
	t.Parallel()
	out, notes, _, err := run(t, true, []any{
		oddsEvent(1, "OPEN", `,"winnerProbability":100,"nextEntryProbability":50`),
		oddsEvent(2, "OPEN", `,"winnerProbability":50,"nextEntryProbability":33.3`) + oddsEvent(3, "CANCELLED", ""),
	})
	if err != nil || notes != "" {
		t.Errorf("%v, noted %q", err, notes)
	}
	frames := strings.Split(out, "\x1b[9A") // back over the lines of the one before
	if !strings.HasPrefix(out, "\x1b[?25l\r\x1b[K래플\n") || !strings.HasSuffix(out, "\x1b[J\x1b[?25h") ||
		len(frames) < 3 {
		t.Fatalf("%q", out)
	}
	for _, want := range []string{"OPEN\n", "  each entry 1 in 2 (50 %)\n", "  enter now: 1 in 3 (33.3 %)\n", "2 entries of 2 members, 1 wins\n"} {
		if !strings.Contains(frames[len(frames)-2], want) && !strings.Contains(frames[len(frames)-1], want) {
			t.Errorf("%q is not in the last frames of %q", want, out)
		}
	}
	if !strings.Contains(out, "  cancelled: nobody wins\n") || !strings.Contains(out, "the connection is lost") {
		t.Errorf("%q", out)
	}
}

func TestWatch_Fails(t *testing.T) {
	t.Parallel()
	for want, c := range map[string]struct {
		answers []any
		code    int
	}{
		"raffle 7 does not exist (RAFFLE_NOT_FOUND)": {[]any{404}, 3},
		"sends odds that are no JSON":                {[]any{"event: raffle-winning-probability\ndata: {\n\n"}, 1},
	} {
		_, _, _, err := run(t, false, c.answers)
		exit, ok := errors.AsType[*command.ExitError](err)
		if !ok || exit.Code != c.code || !strings.Contains(err.Error(), want) {
			t.Errorf("want %d and %q, got %v", c.code, want, err)
		}
	}
}

// The gateway sends odds once, and then nothing.
func TestWatch_EndsByItsContext(t *testing.T) {
	t.Parallel()
	gateway := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, oddsEvent(1, "OPEN", ""))
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}))
	defer gateway.Close()
	var cfg Config
	configtest.Parse(t, &cfg, "7", "--gateway="+gateway.URL)
	ctx, cancel := context.WithCancel(t.Context())
	read, write := io.Pipe()
	var notes bytes.Buffer
	ended := make(chan error, 1)
	go func() { ended <- Run(ctx, cfg, &console.Console{Out: write, Err: &notes}) }()
	if _, err := read.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	go func() { _, _ = io.Copy(io.Discard, read) }()
	cancel()
	if err := testenv.Receive(t, "the end", time.Minute, ended); err != nil || notes.Len() > 0 {
		t.Errorf("%v, noted %q", err, notes.String())
	}
}

func TestOdds_SayWhatComesNext(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	at := now.Add(90 * time.Minute)
	for want, o := range map[string]odds{
		"opens in 1h 30m":  {State: "SCHEDULED", OpensAt: &at, ClosesAt: &now},
		"closes in 1h 30m": {State: "OPEN", OpensAt: &now, ClosesAt: &at},
		"draws in 1h 30m":  {State: "CLOSED", DrawsAt: &at},
		// The server's clock decides, so it may be a moment late.
		"closes any moment now": {State: "OPEN", ClosesAt: &now},
		"":                      {State: "DRAWN", ClosesAt: &at},
	} {
		if got := o.next(now); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestFigure_Sparkline(t *testing.T) {
	t.Parallel()
	for want, numbers := range map[string][]int64{"": nil, "▁▁": {0, 0}, "▁▅█": {0, 4, 7}, "█▁": {9000, 1}} {
		if got := sparkline(numbers); got != want {
			t.Errorf("%v: got %s, want %s", numbers, got, want)
		}
	}
	f := newFigure(&console.Console{})
	for i := range int64(100) {
		f.add(i)
	}
	if len(f.recent) != maxRecent || f.recent[0] != 40 {
		t.Errorf("%v", f.recent)
	}
}

func TestFigure_CutsLinesToTheTerminal(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		text  string
		width int
		want  string
	}{{"abc", 3, "abc"}, {"abcd", 3, "ab…"}, {"한정판 래플", 11, "한정판 래플"}, {"한정판 래플", 10, "한정판 래…"}, {"한정판", 5, "한정…"}, {"한정판", 4, "한…"}} {
		if got := truncate(c.text, c.width); got != c.want {
			t.Errorf("%s in %d: got %s, want %s", c.text, c.width, got, c.want)
		}
	}
}
