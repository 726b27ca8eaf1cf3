package gateway

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
	"github.com/rafflecast/rafflecast/services/internal/oddsstream"
	"github.com/rafflecast/rafflecast/services/test/natstest"
	"github.com/rafflecast/rafflecast/services/test/testenv"
)

// running is a gateway with a stream that has raffle 1.
type running struct {
	t     *testing.T
	nats  *natstest.Server
	addrs Addresses
	stop  func()
	ended chan error
}

// start starts a NATS server and a gateway, and waits until that is ready.
func start(t *testing.T, change func(*Config)) *running {
	t.Helper()
	s := &running{t: t, nats: natstest.Start(t)}
	if _, err := s.nats.JetStream().CreateStream(t.Context(), oddsstream.Config(1)); err != nil {
		t.Fatal(err)
	}
	s.publish(1)
	s.run(change)
	return s
}

// run runs a gateway and waits until it is ready.
func (s *running) run(change func(*Config)) {
	s.t.Helper()
	cfg := testConfig(s.t)
	cfg.NATSURL = s.nats.URL()
	if change != nil {
		change(&cfg)
	}
	started, ready := make(chan Addresses, 1), make(chan struct{}, 10)
	cfg.Started = func(a Addresses) { started <- a }
	cfg.Ready = func() {
		if len(started) == 0 {
			s.t.Error("Ready was called before Started")
		}
		ready <- struct{}{}
	}
	ctx, cancel := context.WithCancel(s.t.Context())
	ended := make(chan error, 1)
	s.stop, s.ended = cancel, ended
	var running sync.WaitGroup
	running.Go(func() { ended <- Run(ctx, cfg) })
	s.t.Cleanup(func() { cancel(); running.Wait() })
	select {
	case <-ready:
		s.addrs = <-started
	case err := <-ended:
		s.t.Fatalf("Run: %v", err)
	case <-time.After(20 * time.Second):
		s.t.Fatal("the gateway is not ready")
	}
}

func testConfig(t *testing.T) Config {
	t.Helper()
	cfg := DefaultConfig()
	cfg.Address, cfg.OpsAddress, cfg.NATSURL = "127.0.0.1:0", "127.0.0.1:0", "nats://127.0.0.1:1"
	cfg.DrainWindow = 0
	cfg.Log = slog.New(slog.NewTextHandler(t.Output(), nil))
	return cfg
}

func (s *running) publish(version int64) {
	s.t.Helper()
	data, err := proto.Marshal(&rafflev1.Odds{Id: 1, Version: version, State: rafflev1.Raffle_OPEN})
	if err != nil {
		s.t.Fatal(err)
	}
	if _, err := s.nats.JetStream().Publish(s.t.Context(), oddsstream.Subject(1), data); err != nil {
		s.t.Fatal(err)
	}
}

func (s *running) get(to net.Addr, path string) *http.Response {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, "http://"+to.String()+path, http.NoBody)
	if err != nil {
		s.t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { resp.Body.Close() })
	return resp
}

func (s *running) metrics() string {
	s.t.Helper()
	text, err := io.ReadAll(s.get(s.addrs.Ops, "/metrics").Body)
	if err != nil {
		s.t.Error(err)
	}
	return string(text)
}

// waitUntil polls the operations port until a request is answered with status.
func (s *running) waitUntil(path string, status int) {
	s.t.Helper()
	testenv.AwaitStatus(s.t, "http://"+s.addrs.Ops.String()+path, status)
}

func (s *running) end() {
	s.t.Helper()
	s.stop()
	if err := <-s.ended; err != nil {
		s.t.Errorf("Run: %v", err)
	}
}

// waitLine reads until a line begins with prefix.
func waitLine(t *testing.T, r *bufio.Reader, prefix string) {
	t.Helper()
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			t.Fatalf("no line %q: %v", prefix, err)
		}
		if strings.HasPrefix(line, prefix) {
			return
		}
	}
}
