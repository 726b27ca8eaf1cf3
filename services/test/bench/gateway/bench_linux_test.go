package bench

import (
	"bufio"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"runtime"
	"strconv"
	"testing"

	"github.com/rafflecast/rafflecast/services/test/testenv"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		if serve := servers[os.Args[1]]; serve != nil {
			fmt.Fprintln(os.Stderr, serve(os.Args[2:]))
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

// servers are the servers that a session starts as processes of this program.
var servers = map[string]func(args []string) error{
	kindBare:    func([]string) error { return ServeBare() },
	kindHub:     func([]string) error { return ServeHub() },
	kindGateway: func(args []string) error { return ServeGateway(args[0]) },
	"nats": func(args []string) error {
		raffles, err := strconv.ParseInt(args[1], 10, 64)
		if err != nil {
			return err
		}
		return ServeNATS(args[0], raffles)
	},
}

// The figures of so few connections mean nothing; that there are any does.
func TestSession_MeasuresEachServer(t *testing.T) {
	t.Parallel()
	if runtime.NumCPU() < 2 {
		testenv.SkipMissing(t, "second core")
	}
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			s, err := newSession(t.Context(), kind, 3)
			if err != nil {
				t.Fatal(err)
			}
			defer s.close()
			if _, err := s.dial(30); err != nil {
				t.Fatal(err)
			}
			got, err := s.rounds(3, 0)
			if err != nil || got.cpu <= 0 || got.perSecond <= 0 || got.p50 > got.p99 || got.p99 > got.last {
				t.Errorf("%+v, %v", got, err)
			}
			if memory, slab, err := s.memory(); err != nil || memory <= 0 || slab <= 0 {
				t.Errorf("memory %v, slab %v, %v", memory, slab, err)
			}
			for _, what := range []string{askHeap, askFiles} {
				if n, err := s.server.Ask(what); err != nil || n <= 0 {
					t.Errorf("%s: %v, %v", what, n, err)
				}
			}
		})
	}
}

func TestNewestVersion_ReadsTheLastID(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int64{
		"id: 1:k3:57\nevent: x\ndata: {}\n\n":                             57,
		"retry: 1000\nid: 1:k3:57\ndata: {}\n\nid: 1:k3:58\ndata: {}\n\n": 58,
		"event: heartbeat\ndata: {}\n\n":                                  0,
		"":                                                                0,
	} {
		if got := newestVersion([]byte(text)); got != want {
			t.Errorf("%q: %d", text, got)
		}
	}
}

// The servers are compared by what they do for the same bytes.
func TestServers_SendTheSameEvent(t *testing.T) {
	t.Parallel()
	events := map[string]string{}
	for _, kind := range kinds {
		s, err := newSession(t.Context(), kind, 1)
		if err != nil {
			t.Fatal(err)
		}
		defer s.close()
		resp, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/api/v1/raffle/1/subscribe", s.port))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		text, err := bufio.NewReader(resp.Body).ReadString('}')
		if err != nil {
			t.Fatal(err)
		}
		// The time is each server's own, and only the gateway sets a reconnection time.
		text = regexp.MustCompile(`"at":"[^"]*"|retry: .*\n`).ReplaceAllString(text, "")
		events[kind] = text
	}
	if events[kindBare] != events[kindGateway] || events[kindHub] != events[kindGateway] {
		t.Errorf("got %q", events)
	}
}
