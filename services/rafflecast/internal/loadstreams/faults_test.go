package loadstreams

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

// scriptedGateway answers each connection with the next of its answers, which is a
// status or the text of a stream, and after the last with 204.
type scriptedGateway struct {
	mu           sync.Mutex
	answers      []any
	lastEventIDs []string // of the requests
}

func (s *scriptedGateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lastEventIDs = append(s.lastEventIDs, r.Header.Get("Last-Event-ID"))
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

// oddsEvent returns an event with odds of raffle 7.
func oddsEvent(version int, state string) string {
	const text = "id: 7:k3:%d\nevent: raffle-winning-probability\n" +
		"data: {\"id\":7,\"epoch\":\"k3\",\"version\":%d,\"state\":%q}\n\n"
	return fmt.Sprintf(text, version, version, state)
}

// closedRaffle is a participation service in which raffle 7 is closed at version 3.
type closedRaffle struct {
	rafflev1.UnimplementedParticipationServiceServer
}

func (closedRaffle) GetOdds(context.Context, *rafflev1.GetOddsRequest) (*rafflev1.GetOddsResponse, error) {
	return &rafflev1.GetOddsResponse{Odds: &rafflev1.Odds{Id: 7, Version: 3, State: rafflev1.Raffle_CLOSED}}, nil
}

func settings(t *testing.T, args ...string) Config {
	t.Helper()
	var c Config
	configtest.Parse(t, &c, args...)
	return c
}

func serveClosedRaffle(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	rafflev1.RegisterParticipationServiceServer(server, closedRaffle{})
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)
	return listener.Addr().String()
}

func TestLoadStreams_FindsEveryFaultOfAGateway(t *testing.T) {
	t.Parallel()
	v1, v2, last := oddsEvent(1, "OPEN"), oddsEvent(2, "OPEN"), oddsEvent(3, "CLOSED")
	target := serveClosedRaffle(t)
	for name, c := range map[string]struct {
		answers []any
		want    string // part of a fault; "": there must be none
	}{
		"none":                   {[]any{v1 + v2 + last}, ""},
		"none over connections":  {[]any{v1, v2, 503, 429, last}, ""},
		"not known at first":     {[]any{404, v1, last}, ""},
		"updates left out":       {[]any{v1 + last}, ""},
		"a reset, a heartbeat":   {[]any{v1 + "event: reset\ndata: {}\n\nevent: heartbeat\ndata: {}\n\n: comment\n\n" + last}, ""},
		"cut within an event":    {[]any{v1 + v2[:len(v2)-1], v2 + last}, ""},
		"one twice":              {[]any{v1 + v1 + last}, "version 1 was received twice"},
		"twice, on another":      {[]any{v1 + v2, v2 + last}, "version 2 was received twice"},
		"out of order":           {[]any{v2 + v1 + last}, "version 1 after version 2"},
		"back, on another":       {[]any{v2, v1 + last}, "version 1 after version 2"},
		"the final one twice":    {[]any{v1 + last, last}, "version 3 was received twice"},
		"more after the final":   {[]any{v1 + last + oddsEvent(4, "OPEN")}, "version 4 after the final version 3"},
		"the final one lost":     {[]any{v1 + v2}, "stopped by 204 before the final odds"},
		"another final one":      {[]any{v1 + oddsEvent(2, "CLOSED")}, "has version 2, but the final one is 3"},
		"another raffle's":       {[]any{strings.Replace(v1, `"id":7`, `"id":8`, 1) + last}, "odds of raffle 8"},
		"an id of another event": {[]any{strings.Replace(v1, "7:k3:1", "7:k3:9", 1) + last}, `with the id "7:k3:9"`},
		"odds that are no JSON":  {[]any{"event: raffle-winning-probability\ndata: {\n\n" + v1 + last}, "odds that are no JSON"},
		"another epoch":          {[]any{v1 + strings.ReplaceAll(v2, "k3", "k4") + last}, "version 2 has another epoch, k4"},
		"an unknown event":       {[]any{"event: greeting\ndata: hello\n\n" + v1 + last}, `an event "greeting"`},
		"broken":                 {[]any{v1, 500, last}, "answered 500"},
		"forgotten raffle":       {[]any{v1, 404, last}, "answered 404"},
		"stopped at once":        {[]any{}, "never connected"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			gateway := httptest.NewServer(&scriptedGateway{answers: c.answers})
			defer gateway.Close()
			var out strings.Builder
			cfg := settings(t, "--gateway="+gateway.URL, "--target="+target, "7", "--clients=1", "--over=0s")
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

func TestClient_SendsTheIDOfTheLastEvent(t *testing.T) {
	t.Parallel()
	s := &scriptedGateway{
		answers: []any{503, oddsEvent(1, "OPEN"), oddsEvent(2, "OPEN") + "id: 7:k3:8\nevent: cut", oddsEvent(3, "CLOSED")},
	}
	gateway := httptest.NewServer(s)
	defer gateway.Close()
	cfg := settings(
		t,
		"--gateway="+gateway.URL,
		"--target="+serveClosedRaffle(t),
		"7",
		"--clients=1",
		"--over=0s",
	)
	if err := Run(t.Context(), cfg, io.Discard, t.Output()); err != nil {
		t.Error(err)
	}
	if got, want := strings.Join(s.lastEventIDs, " "), "  7:k3:1 7:k3:2 7:k3:3"; got != want {
		t.Errorf("sent %q, want %q", got, want)
	}
}

func TestRun_ChecksEachClientAtTheEnd(t *testing.T) {
	t.Parallel()
	r, err := newRun(settings(t, "--gateway=http://x", "7", "--clients=6"))
	if err != nil {
		t.Fatal(err)
	}
	end := raffleEnd{version: 3, noticedAt: time.Now()}
	late := end.noticedAt.Add(r.cfg.Within + time.Second)
	for i, c := range r.clients[1:] {
		c.history.Connected(nil)
		c.history.receiveOdds(odds{ID: 7, Epoch: "k3", Version: 3, State: "CLOSED"})
		if i != 3 {
			c.history.Stopped()
		}
	}
	r.clients[2].history.finalAt = late
	r.clients[3].history.finalAt = late
	r.clients[3].history.Disconnected(2 * time.Second) // which it may have in addition
	r.clients[5].history.version = 2
	if longest := r.allowTime(); longest != r.cfg.Within+2*time.Second {
		t.Errorf("clients have at most %v", longest)
	}
	r.check(end)
	for i, want := range []string{
		"never connected", "", "received the final odds 6s after", "", "was not stopped by 204", "has version 2, but the final one is 3",
	} {
		if got := strings.Join(
			r.clients[i].history.faults,
			"; ",
		); !strings.Contains(got, want) ||
			(want == "") != (got == "") {
			t.Errorf("client %d: %q, want %q", i, got, want)
		}
	}
}
