package gateway

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/rafflecast/rafflecast/services/test/testenv"
)

// viewers are streams at a gateway.
func (s *running) viewers(n int) {
	s.t.Helper()
	for range n {
		resp := s.get(s.addrs.HTTP, "/api/v1/raffles/1/subscribe")
		if resp.StatusCode != http.StatusOK {
			s.t.Fatalf("answered %s", resp.Status)
		}
		if _, err := bufio.NewReader(resp.Body).ReadString('\n'); err != nil {
			s.t.Fatal(err)
		}
	}
}

// isReady reports what /readyz says.
func (s *running) isReady(ctx context.Context) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.addrs.Ops.String()+"/readyz", http.NoBody)
	if err != nil {
		return false
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

func TestGateway_BoundsIdleConnections(t *testing.T) {
	t.Parallel()
	s := start(t, func(c *Config) { c.MaxIdlePerClient = 2 })
	// The server counts a connection as idle a moment after its answer.
	testenv.Eventually(t, "another connection of the client closes", 20*time.Second, func() bool {
		c, err := new(net.Dialer).DialContext(t.Context(), "tcp", s.addrs.HTTP.String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		_, _ = io.WriteString(c, "GET /api/v1/raffles HTTP/1.1\r\nHost: localhost\r\n\r\n")
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		return err == nil && resp.Body.Close() == nil && resp.Close
	})
}

func TestGateway_LeavesNewViewersToAnotherInstanceWhileItIsFull(t *testing.T) {
	t.Parallel()
	limits := func(c *Config) {
		c.MaxConnections, c.RebalanceWindow, c.RetryMin, c.RetryMax = 40, 10*time.Second, time.Minute, time.Minute
	}
	first := start(t, limits)
	first.viewers(40)
	if !first.isReady(t.Context()) {
		t.Error("the only instance is not ready")
	}
	// There is another one.
	second := &running{t: t, nats: first.nats}
	second.run(limits)
	isReady := func() bool { return first.isReady(t.Context()) }
	testenv.Eventually(t, "the full instance is not ready", 20*time.Second, func() bool { return !isReady() })
	// It ends its oldest streams until it has room.
	testenv.Eventually(t, "the instance with room is ready again", time.Minute, isReady)
	if !second.isReady(t.Context()) {
		t.Error("the instance without viewers is not ready")
	}
}
