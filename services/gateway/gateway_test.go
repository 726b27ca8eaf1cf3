package gateway

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/rafflecast/rafflecast/services/gateway/internal/fanout"
	"github.com/rafflecast/rafflecast/services/internal/accept"
	"github.com/rafflecast/rafflecast/services/internal/oddsstream"
	"github.com/rafflecast/rafflecast/services/internal/telemetry"
	"github.com/rafflecast/rafflecast/services/test/testenv"
)

func TestGateway_StreamsFromNATS(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	resp := s.get(s.addrs.HTTP, "/api/v1/raffle/1/subscribe")
	r := bufio.NewReader(resp.Body)
	waitLine(t, r, "id: 1:0:1\n")
	s.publish(2)
	waitLine(t, r, "id: 1:0:2\n")
	// While NATS is unavailable it serves what it knows.
	s.nats.Stop()
	if resp := s.get(s.addrs.HTTP, "/api/v1/raffle/1/odds"); resp.StatusCode != http.StatusOK {
		t.Errorf("odds while NATS is unavailable: %s", resp.Status)
	}
	s.waitUntil("/readyz", http.StatusOK)
	for _, want := range []string{"rafflecast_gateway_nats_connected 0", "rafflecast_gateway_feed_ready 1"} {
		testenv.Eventually(t, want, 10*time.Second, func() bool { return strings.Contains(s.metrics(), "\n"+want) })
	}
	s.nats.Start()
	s.publish(3)
	waitLine(t, r, "id: 1:0:3\n")
	page := s.get(s.addrs.HTTP, "/")
	if page.StatusCode != http.StatusOK || !strings.HasPrefix(page.Header.Get("Content-Type"), "text/html") {
		t.Errorf("the page: %s", page.Status)
	}
	for path, status := range map[string]int{
		"/raffle/1": http.StatusOK, "/raffle/7": http.StatusNotFound, "/raffle/x": http.StatusBadRequest,
	} {
		if resp := s.get(s.addrs.HTTP, path); resp.StatusCode != status {
			t.Errorf("%s: %s", path, resp.Status)
		}
	}
	for _, want := range []string{
		"rafflecast_gateway_connections 1", "rafflecast_gateway_connections_blocked 0", "rafflecast_gateway_deliveries_total 2",
		`rafflecast_gateway_connections_ended_total{reason="stalled"} 0`, `rafflecast_gateway_connections_ended_total{reason="draining"} 0`, `rafflecast_gateway_refusals_total{reason="raffle_not_found"} 1`,
		`rafflecast_gateway_snapshots_total{cause="connected"} 1`, "rafflecast_gateway_feed_lag_seconds_count ",
		"rafflecast_gateway_raffles_known 1", "rafflecast_gateway_nats_connected 1", "rafflecast_gateway_feed_ready 1",
		"rafflecast_gateway_connections_limit ", `rafflecast_gateway_commit_to_last_write_seconds_bucket{le="+Inf"} `,
	} {
		// A client may read what it is sent before that is counted.
		testenv.Eventually(t, "in the metrics: "+want, 10*time.Second, func() bool { return strings.Contains(s.metrics(), "\n"+want) })
	}
	testenv.Eventually(t, "the last write of version 2 was observed", 10*time.Second, func() bool {
		return !strings.Contains(s.metrics(), "rafflecast_gateway_commit_to_last_write_seconds_count 0\n")
	})
	s.end()
}

func TestGateway_StartsWithoutNATSAndIsNotReady(t *testing.T) {
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

func TestGateway_DrainsAtStop(t *testing.T) {
	t.Parallel()
	s := start(t, func(c *Config) {
		c.DrainDelay, c.DrainWindow = 3*time.Second, 300*time.Millisecond // so that a busy machine sees that it is not ready
		c.Address = testenv.FreeAddress(t)                                // which no other process takes
	})
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

func TestGateway_TwoRunInOneProcess(t *testing.T) {
	t.Parallel()
	a, b := start(t, nil), start(t, nil)
	a.end()
	b.waitUntil("/readyz", http.StatusOK)
	b.end()
}

func TestGateway_TakenPortNamesItsFlag(t *testing.T) {
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

// A raffle with 140 versions a second has 20 messages a second after conflation. A client
// that was away for 5 s, the longest retry, gets what it has missed, in order and without
// a reset; also from an instance that has just started.
func TestGateway_ResumesAfterLongestRetryOnBusyRaffle(t *testing.T) {
	t.Parallel()
	const (
		step   = 7
		missed = int64(oddsstream.LongestRetry / oddsstream.ConflationInterval)
		total  = 3 * missed
	)
	s := start(t, nil)
	for n := range total {
		s.publish((n + 1) * step)
	}
	resume := func(seen int64) {
		t.Helper()
		resp := s.get(s.addrs.HTTP, fmt.Sprintf("/api/v1/raffles/1/subscribe?lastEventId=1:0:%d", seen*step))
		r := bufio.NewReader(resp.Body)
		for n := seen + 1; n <= total; {
			line, err := r.ReadString('\n')
			if err != nil {
				t.Fatalf("before version %d: %v", n*step, err)
			}
			switch {
			case line == fmt.Sprintf("id: 1:0:%d\n", n*step):
				n++
			case strings.HasPrefix(line, "id:") || strings.HasPrefix(line, "event: reset"):
				t.Fatalf("after %d: %q, not version %d", seen*step, line, n*step)
			}
		}
		resp.Body.Close()
	}
	newest := fmt.Sprintf(`"version":%d,`, total*step)
	testenv.Eventually(t, "the newest version arrives", 10*time.Second, func() bool {
		body, _ := io.ReadAll(s.get(s.addrs.HTTP, "/api/v1/raffles/1/odds").Body)
		return strings.Contains(string(body), newest)
	})
	resume(total - missed)
	resume(total - missed/2)
	s.end()
	s.run(nil)
	resume(total - 1)
	resume(total - missed)
	resume(total - missed/2)
	s.end()
}

// If the service stops because a part of it has failed, nobody is there to notice that it
// is not ready.
func TestGateway_FailureSkipsDrainDelay(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t)
	cfg.DrainDelay = 10 * time.Minute
	cfg.NATSURL = "nats://me:secret@[::1"
	if err := Run(t.Context(), cfg); err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("with a wrong NATS URL: %v", err)
	}

	cfg.NATSURL = "nats://127.0.0.1:1"
	for name, isAskedToStop := range map[string]bool{"while it runs": false, "during the delay": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := cfg
			ctx, askToStop := context.WithCancel(t.Context())
			defer askToStop()
			public, private, err := listen(ctx, &cfg)
			if err != nil {
				t.Fatal(err)
			}
			s, err := newService(&cfg, &telemetry.Traces{})
			if err != nil {
				t.Fatal(err)
			}
			if isAskedToStop {
				askToStop()
			}
			ended := make(chan error, 1)
			go func() { ended <- s.run(ctx, public, private) }()
			if isAskedToStop {
				testenv.Eventually(t, "the service is stopping", 10*time.Second, s.stopping.Load)
			}
			private.Close()
			select {
			case err := <-ended:
				if !errors.Is(err, net.ErrClosed) {
					t.Errorf("Run: %v", err)
				}
			case <-time.After(20 * time.Second):
				t.Error("it waits for the drain delay")
			}
		})
	}
}

// What a service has opened before a part of it could not be made is closed again.
func TestGateway_ReleasesWhatItHasOpened(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t)
	cfg.CORSOrigins = "no origin"
	if _, err := newService(&cfg, &telemetry.Traces{}); err == nil {
		t.Error("it was made")
	}
	s, err := newService(new(testConfig(t)), &telemetry.Traces{})
	if err != nil {
		t.Fatal(err)
	}
	s.release()
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	if s.feed.Connected() || s.hub.Serve(httptest.NewRecorder(), r, fanout.Stream{}) {
		t.Error("it goes on")
	}
}

// Connections that wait for their turn have files, too.
func TestGateway_CountsConnectionsThatWait(t *testing.T) {
	t.Parallel()
	s, err := newService(new(testConfig(t)), &telemetry.Traces{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.release()
	if s.accepted.IsFull() {
		t.Error("it is full at the start")
	}
	if s.waiting.Store(int64(accept.OpenFiles())); !s.accepted.IsFull() {
		t.Error("it is not full although as many connections wait as it may open files")
	}
}
