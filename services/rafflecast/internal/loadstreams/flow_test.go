package loadstreams

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/timestamppb"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
	"github.com/rafflecast/rafflecast/services/rafflecast/load"
)

// changingRaffle is a participation service in which raffle 7 has a new version whenever
// it is asked and is watched, and is closed at finalVersion.
type changingRaffle struct {
	rafflev1.UnimplementedParticipationServiceServer

	isWatched func() bool

	mu      sync.Mutex
	version int64
	changed chan struct{} // closed when version changes
}

const finalVersion = 12

func (c *changingRaffle) GetOdds(context.Context, *rafflev1.GetOddsRequest) (*rafflev1.GetOddsResponse, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	state := rafflev1.Raffle_OPEN
	if c.isWatched() {
		c.version = min(c.version+1, finalVersion)
		close(c.changed)
		c.changed = make(chan struct{})
	}
	if c.version == finalVersion {
		state = rafflev1.Raffle_CLOSED
	}
	return &rafflev1.GetOddsResponse{Odds: &rafflev1.Odds{Id: 7, Version: c.version, State: state, At: timestamppb.Now()}}, nil
}

// await waits for the version after this one, and returns it.
func (c *changingRaffle) await(ctx context.Context, version int64) int64 {
	for {
		c.mu.Lock()
		newest, changed := c.version, c.changed
		c.mu.Unlock()
		if newest > version {
			return version + 1
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return finalVersion
		}
	}
}

// event returns the event of a version that was committed at a time.
func event(version int64, at time.Time) string {
	state := "OPEN"
	if version == finalVersion {
		state = "CLOSED"
	}
	return fmt.Sprintf("id: 7:k3:%d\nevent: raffle-winning-probability\ndata: {\"id\":7,\"epoch\":\"k3\",\"version\":%d,\"state\":%q,\"at\":%q}\n\n",
		version, version, state, at.Format(time.RFC3339Nano))
}

// flowOf watches the raffle at a gateway that sends what send says, from its opening to
// the final odds.
func flowOf(t *testing.T, send func(version int64) (string, bool), args ...string) (out string, err error) {
	t.Helper()
	raffle := &changingRaffle{version: 1, changed: make(chan struct{})}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gateway := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.Header.Get("Last-Event-ID"), fmt.Sprint(":", finalVersion)) {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, "retry: 1\n\n")
		_ = http.NewResponseController(w).Flush()
		for version := int64(0); version < finalVersion && r.Context().Err() == nil; {
			version = raffle.await(r.Context(), version)
			if text, ok := send(version); ok {
				_, _ = io.WriteString(w, text)
				_ = http.NewResponseController(w).Flush()
			}
		}
	}))
	t.Cleanup(gateway.Close)
	cfg := settings(t, append([]string{
		"--gateway=" + gateway.URL, "--target=" + listener.Addr().String(), "7", "--clients=2", "--over=0s", "--timeout=1m",
	}, args...)...)
	r, err := newRun(cfg)
	if err != nil {
		t.Fatal(err)
	}
	raffle.isWatched = func() bool {
		return !slices.ContainsFunc(r.clients, func(c *client) bool { return !c.history.isConnected(1) })
	}
	server := grpc.NewServer()
	rafflev1.RegisterParticipationServiceServer(server, raffle)
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)
	conns, err := load.Dial(cfg.Service.Target, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer conns.Close()
	var b strings.Builder
	err = r.watch(t.Context(), conns[0], &b, t.Output())
	return b.String(), err
}

func TestLoadStreams_SeesThatUpdatesFlow(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		send func(version int64) (string, bool)
		args []string
		want string // part of a fault; "": there must be none
	}{
		"all": {func(v int64) (string, bool) { return event(v, time.Now()), true }, []string{"--max-age=30s"}, ""},
		"nothing but the final odds": {
			func(v int64) (string, bool) { return event(v, time.Now()), v == finalVersion }, []string{"--max-age=1s", "--min-updates=0"}, "lacks version",
		},
		"the opening and the final odds": {
			func(v int64) (string, bool) { return event(v, time.Now()), v <= 2 || v == finalVersion }, []string{"--max-age=1s", "--min-updates=0"}, "lacks version",
		},
		"old ones": {
			func(v int64) (string, bool) { return event(v, time.Now().Add(-3*time.Second/2)), true }, []string{"--max-age=1s", "--min-updates=0"}, "received version",
		},
		"old ones, to clients that may be late": {
			func(v int64) (string, bool) { return event(v, time.Now().Add(-3*time.Second/2)), true }, []string{"--max-age=1s", "--min-updates=0", "--max-late=100"}, "",
		},
		"old ones, to more clients than may be late": {
			func(v int64) (string, bool) { return event(v, time.Now().Add(-3*time.Second/2)), true }, []string{"--max-age=1s", "--min-updates=0", "--max-late=99"}, "received version",
		},
		"few of them": {func(v int64) (string, bool) { return event(v, time.Now()), v == 6 || v == finalVersion }, []string{"--max-age=1m"}, "received 2 updates"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out, err := flowOf(t, c.send, c.args...)
			if (err == nil) != (c.want == "") || !strings.Contains(out, c.want) {
				t.Errorf("want %q, got %v\n%s", c.want, err, out)
			}
		})
	}
}
