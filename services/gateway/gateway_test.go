package gateway

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
	"github.com/rafflecast/rafflecast/services/internal/natsconn"
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

func start(t *testing.T, change func(*Config)) *running {
	t.Helper()
	s := &running{t: t, nats: natstest.Start(t), ended: make(chan error, 1)}
	if _, err := s.nats.JetStream().CreateStream(t.Context(), oddsstream.Config(1)); err != nil {
		t.Fatal(err)
	}
	s.publish(1)
	cfg := testConfig(t)
	cfg.NATSURL = s.nats.URL()
	if change != nil {
		change(&cfg)
	}
	started := make(chan Addresses, 1)
	cfg.Started = func(a Addresses) { started <- a }
	ctx, cancel := context.WithCancel(t.Context())
	s.stop = cancel
	go func() { s.ended <- Run(ctx, cfg) }()
	select {
	case s.addrs = <-started:
	case err := <-s.ended:
		t.Fatalf("Run: %v", err)
	}
	s.waitUntil("/readyz", http.StatusOK)
	return s
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

func TestFromNATSToAClient(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	resp := s.get(s.addrs.HTTP, "/api/v1/raffle/1/subscribe")
	r := bufio.NewReader(resp.Body)
	waitLine(t, r, "id: 1:1\n")
	s.publish(2)
	waitLine(t, r, "id: 1:2\n")
	// With NATS away it serves what it knows.
	s.nats.Stop()
	if resp := s.get(s.addrs.HTTP, "/api/v1/raffle/1/odds"); resp.StatusCode != http.StatusOK {
		t.Errorf("odds with NATS away: %s", resp.Status)
	}
	s.waitUntil("/readyz", http.StatusOK)
	s.nats.Start()
	s.publish(3)
	waitLine(t, r, "id: 1:3\n")
	if resp := s.get(s.addrs.HTTP, "/"); resp.StatusCode != http.StatusOK || !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/html") {
		t.Errorf("the page: %s", resp.Status)
	}
	for path, status := range map[string]int{"/raffle/1": http.StatusOK, "/raffle/7": http.StatusNotFound, "/raffle/x": http.StatusBadRequest} {
		if resp := s.get(s.addrs.HTTP, path); resp.StatusCode != status {
			t.Errorf("%s: %s", path, resp.Status)
		}
	}
	metrics, _ := io.ReadAll(s.get(s.addrs.Ops, "/metrics").Body)
	for _, want := range []string{
		"rafflecast_gateway_connections 1", "rafflecast_gateway_connections_behind 0", "rafflecast_gateway_deliveries_total 2",
		`rafflecast_gateway_connections_ended_total{reason="stalled"} 0`, `rafflecast_gateway_refusals_total{reason="raffle_not_found"} 1`,
		`rafflecast_gateway_snapshots_total{cause="connected"} 1`, "rafflecast_gateway_feed_lag_seconds_count ",
		"rafflecast_gateway_raffles_known 1", "rafflecast_gateway_nats_connected 1", "rafflecast_gateway_feed_ready 1",
		"rafflecast_gateway_connections_limit ", `rafflecast_gateway_commit_to_last_write_seconds_bucket{le="+Inf"} `,
	} {
		if !strings.Contains(string(metrics), "\n"+want) {
			t.Errorf("not in the metrics: %s", want)
		}
	}
	if strings.Contains(string(metrics), "rafflecast_gateway_commit_to_last_write_seconds_count 0\n") {
		t.Error("the last write of version 2 was not noticed")
	}
	s.end()
}

func TestItStartsWithoutNATSAndIsNotReady(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t)
	started := make(chan Addresses, 1)
	cfg.Started = func(a Addresses) { started <- a }
	ctx, cancel := context.WithCancel(t.Context())
	s := &running{t: t, stop: cancel, ended: make(chan error, 1)}
	go func() { s.ended <- Run(ctx, cfg) }()
	s.addrs = <-started
	s.waitUntil("/livez", http.StatusOK)
	s.waitUntil("/readyz", http.StatusServiceUnavailable)
	if resp := s.get(s.addrs.HTTP, "/api/v1/raffle/1/subscribe"); resp.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("subscribe: %s", resp.Status)
	}
	s.end()
}

func TestStoppingDrains(t *testing.T) {
	t.Parallel()
	s := start(t, func(c *Config) { c.DrainDelay, c.DrainWindow = 200*time.Millisecond, 300*time.Millisecond })
	var streams []*bufio.Reader
	for range 10 {
		streams = append(streams, bufio.NewReader(s.get(s.addrs.HTTP, "/api/v1/raffle/1/subscribe").Body))
	}
	s.stop()
	s.waitUntil("/readyz", http.StatusServiceUnavailable)
	for _, r := range streams {
		if _, err := io.ReadAll(r); err != nil {
			t.Errorf("a stream was cut: %v", err)
		}
	}
	s.end()
	if conn, err := net.Dial("tcp", s.addrs.HTTP.String()); err == nil {
		conn.Close()
		t.Error("the port is still open")
	}
}

func TestTwoRunInOneProcess(t *testing.T) {
	t.Parallel()
	a, b := start(t, nil), start(t, nil)
	a.end()
	b.waitUntil("/readyz", http.StatusOK)
	b.end()
}

func TestATakenPortNamesItsFlag(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for flag, set := range map[string]func(*Config, string){
		"--address":     func(c *Config, to string) { c.Address = to },
		"--ops-address": func(c *Config, to string) { c.OpsAddress = to },
	} {
		cfg := testConfig(t)
		set(&cfg, taken.Addr().String())
		err := Run(t.Context(), cfg)
		if err == nil || !strings.Contains(err.Error(), flag) || !strings.Contains(err.Error(), "is taken") {
			t.Errorf("%s: %v", flag, err)
		}
	}
}

func TestWrongSettingsAreReportedAtOnce(t *testing.T) {
	t.Parallel()
	err := Run(t.Context(), Config{
		Settings: Settings{
			Address: "nowhere", OpsAddress: "127.0.0.1:70000", ConflationInterval: -1, Heartbeat: 1, Lifetime: 1, RetryMin: -1, RetryMax: 2 * time.Hour,
			WriteTimeout: 1, DrainDelay: -1, DrainWindow: -1,
			SendBuffer: 1, MaxConnections: -1, MaxConnectionsPerClient: -1, TrustedProxies: "10.0.0.0", CORSOrigins: "https://a.example/b",
			GCPercent: -1,
		},
		Peers:          Peers{NATSAPIPrefix: "odds.*", ParticipationURL: "participation:9080"},
		ServerSettings: natsconn.ServerSettings{NATSCA: "/absent/ca.crt", NATSCredentials: "/absent/gateway.creds"},
	})
	if err == nil {
		t.Fatal("it runs")
	}
	for _, flag := range []string{
		"address", "ops-address", "conflation-interval", "heartbeat", "lifetime", "retry-min", "retry-max", "write-timeout",
		"drain-delay", "drain-window", "nats-url", "nats-ca", "nats-credentials", "nats-api-prefix", "participation-url",
		"send-buffer", "max-connections", "max-connections-per-client", "max-raffles", "trusted-proxies", "cors-origins",
		"max-header-bytes", "header-timeout", "gc-percent",
	} {
		if !strings.Contains(err.Error(), "--"+flag+"=") && !strings.Contains(err.Error(), "--"+flag+" (NATS_URL) has no value") {
			t.Errorf("--%s is not in: %v", flag, err)
		}
	}
}

func TestAWrongNATSURLStopsTheStart(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t)
	cfg.NATSURL = "nats://me:secret@[::1"
	if err := Run(t.Context(), cfg); err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("got %v", err)
	}
}
