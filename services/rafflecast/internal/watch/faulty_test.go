package watch

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
	"github.com/rafflecast/rafflecast/services/internal/config/configtest"
)

// script is a gateway that answers each connection with the next of its answers:
// a status, or the events of a stream. After the last it says 204.
type script struct {
	mu      sync.Mutex
	answers []any
	came    []string // the Last-Event-IDs
}

func (s *script) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.came = append(s.came, r.Header.Get("Last-Event-ID"))
	if len(s.answers) == 0 {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	answer := s.answers[0]
	s.answers = s.answers[1:]
	if status, ok := answer.(int); ok {
		w.WriteHeader(status)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
	_, _ = io.WriteString(w, "retry: 1\n\n"+answer.(string))
}

// update is an event with odds.
func update(version int, state string) string {
	return fmt.Sprintf("id: 7:%d\nevent: raffle-winning-probability\ndata: {\"id\":7,\"version\":%d,\"state\":%q}\n\n", version, version, state)
}

// books is a participation service that says that raffle 7 is closed at version 3.
type books struct {
	rafflev1.UnimplementedParticipationServiceServer
}

func (books) GetOdds(context.Context, *rafflev1.GetOddsRequest) (*rafflev1.GetOddsResponse, error) {
	return &rafflev1.GetOddsResponse{Odds: &rafflev1.Odds{Id: 7, Version: 3, State: rafflev1.Raffle_CLOSED}}, nil
}

func settings(t *testing.T, args ...string) Config {
	t.Helper()
	var c Config
	configtest.Parse(t, &c, args...)
	return c
}

func serveBooks(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	rafflev1.RegisterParticipationServiceServer(server, books{})
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)
	return listener.Addr().String()
}

func TestEveryFaultOfAGatewayIsFound(t *testing.T) {
	t.Parallel()
	v1, v2, last := update(1, "OPEN"), update(2, "OPEN"), update(3, "CLOSED")
	target := serveBooks(t)
	for name, c := range map[string]struct {
		answers []any
		want    string // of the faults; "": none
	}{
		"none":                    {[]any{v1 + v2 + last}, ""},
		"none over connections":   {[]any{v1, v2, 503, 429, last}, ""},
		"not known at first":      {[]any{404, v1, last}, ""},
		"updates left out":        {[]any{v1 + last}, ""},
		"a reset, a heartbeat":    {[]any{v1 + "event: reset\ndata: {}\n\nevent: heartbeat\ndata: {}\n\n: comment\n\n" + last}, ""},
		"cut within an event":     {[]any{v1 + v2[:len(v2)-1], v2 + last}, ""},
		"one came twice":          {[]any{v1 + v1 + last}, "version 1 came twice"},
		"twice, on another":       {[]any{v1 + v2, v2 + last}, "version 2 came twice"},
		"out of order":            {[]any{v2 + v1 + last}, "version 1 came after version 2"},
		"back, on another":        {[]any{v2, v1 + last}, "version 1 came after version 2"},
		"the final one twice":     {[]any{v1 + last, last}, "version 3 came twice"},
		"more after the final":    {[]any{v1 + last + update(4, "OPEN")}, "version 4 came after the final one, 3"},
		"the final one lost":      {[]any{v1 + v2}, "told to stop before the final odds"},
		"another final one":       {[]any{v1 + update(2, "CLOSED")}, "has version 2, the final one is 3"},
		"another raffle's":        {[]any{strings.Replace(v1, `"id":7`, `"id":8`, 1) + last}, "odds of raffle 8"},
		"an id that is not its":   {[]any{strings.Replace(v1, "7:1", "7:9", 1) + last}, `with the id "7:9"`},
		"odds that are none":      {[]any{"event: raffle-winning-probability\ndata: {\n\n" + v1 + last}, "odds that can't be read"},
		"an event of its own":     {[]any{"event: greeting\ndata: hello\n\n" + v1 + last}, `an event "greeting"`},
		"broken":                  {[]any{v1, 500, last}, "answered 500"},
		"forgotten":               {[]any{v1, 404, last}, "answered 404"},
		"told to stop at its end": {[]any{}, "never connected"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			gateway := httptest.NewServer(&script{answers: c.answers})
			defer gateway.Close()
			var out strings.Builder
			cfg := settings(t, "--gateway="+gateway.URL, "--target="+target, "--raffle=7", "--clients=1", "--over=0s")
			err := Run(t.Context(), cfg, &out, t.Output())
			if found := c.want != ""; found != (err != nil) || !strings.Contains(out.String(), c.want) {
				t.Errorf("want %q, got %v\n%s", c.want, err, out.String())
			}
			if c.want == "" && !strings.Contains(out.String(), "RESULT faults 0\n") {
				t.Errorf("got\n%s", out.String())
			}
		})
	}
}

func TestAClientSaysWhatItHasSeen(t *testing.T) {
	t.Parallel()
	s := &script{answers: []any{503, update(1, "OPEN"), update(2, "OPEN") + "id: 7:8\nevent: cut", update(3, "CLOSED")}}
	gateway := httptest.NewServer(s)
	defer gateway.Close()
	cfg := settings(t, "--gateway="+gateway.URL, "--target="+serveBooks(t), "--raffle=7", "--clients=1", "--over=0s")
	if err := Run(t.Context(), cfg, io.Discard, t.Output()); err != nil {
		t.Error(err)
	}
	if got, want := strings.Join(s.came, " "), "  7:1 7:2 7:3"; got != want {
		t.Errorf("came with %q, want %q", got, want)
	}
}

func TestWhatShowsOnlyAtTheEnd(t *testing.T) {
	t.Parallel()
	r := newRun(settings(t, "--gateway=http://x", "--raffle=7", "--clients=5"))
	last := truth{version: 3, at: time.Now()}
	for _, c := range r.clients[1:] {
		c.connected()
		c.took(odds{ID: 7, Version: 3, State: "CLOSED"})
	}
	r.clients[1].stopped()
	r.clients[2].stopped()
	r.clients[2].finalAt = last.at.Add(r.cfg.Within + time.Second)
	r.clients[3].stopped()
	r.clients[3].finalAt = last.at.Add(r.cfg.Within + time.Second)
	r.clients[3].lost(2 * time.Second) // it may come later, by its wait
	r.allow()
	r.judge(last)
	for i, want := range []string{"never connected", "", "had the final odds 6s late", "", "was not told to stop"} {
		if got := strings.Join(r.clients[i].faults, "; "); !strings.Contains(got, want) || (want == "") != (got == "") {
			t.Errorf("client %d: %q, want %q", i, got, want)
		}
	}
}
