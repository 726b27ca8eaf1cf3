package e2e_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
	"github.com/rafflecast/rafflecast/services/test/natstest"
	"github.com/rafflecast/rafflecast/services/test/servicetest"
	"github.com/rafflecast/rafflecast/services/test/testenv"
)

var refusedMetric = regexp.MustCompile(`(?m)^rafflecast_\w+_refused_connections_total\{reason="(\w+)"\} (\S+)$`)

// metricsByReason returns how many connections were refused, by the operations port at a URL.
func metricsByReason(t *testing.T, ops string) map[string]string {
	t.Helper()
	counts := map[string]string{}
	for _, found := range refusedMetric.FindAllStringSubmatch(ask(t, http.MethodGet, ops+"/metrics", "").body, -1) {
		counts[found[1]] = found[2]
	}
	return counts
}

// Clients that open more connections than the process may have files do not keep operators,
// or what it must open itself, from the rest.
func TestConnections_LeaveFilesToOperators(t *testing.T) {
	t.Parallel()
	const files = 400
	nats := natstest.Start(t)
	servicetest.NewOddsPublisher(t, nats).Publish(&rafflev1.Odds{Id: 1, Version: 1, Title: "A", State: rafflev1.Raffle_OPEN, Winners: 1})
	gateway := launchWithFiles(t, files, []string{"GATEWAY_MAX_IDLE_PER_CLIENT=0", "GATEWAY_NEW_CONNECTIONS_PER_CLIENT=0"},
		"gateway", "serve", "--nats-url="+nats.URL(), "--address="+anyPort, "--ops-address="+anyPort, "--drain-window=0s")
	web, ops := awaitGateway(t, gateway)
	// Half of them are streams, which another part of the gateway serves.
	answered := 0
	for i := range files + 100 {
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, byte(2+i%2))}}
		c, err := d.DialContext(t.Context(), "tcp", strings.TrimPrefix(web, "http://"))
		if err != nil {
			continue // it was closed before it was seen to be open
		}
		defer c.Close()
		if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
			t.Fatal(err)
		}
		_, _ = fmt.Fprintf(c, "GET /api/v1/raffles/1/%s HTTP/1.1\r\nHost: localhost\r\n\r\n", []string{"odds", "subscribe"}[i%2])
		if n, _ := io.ReadAtLeast(c, make([]byte, 12), 12); n > 0 {
			answered++
		}
	}
	if answered < files/2 || answered > files-64 {
		t.Errorf("%d connections are served", answered)
	}
	http.DefaultClient.CloseIdleConnections()
	for range 10 { // on a connection of its own each
		testenv.AwaitStatus(t, ops+"/livez", http.StatusOK)
		http.DefaultClient.CloseIdleConnections()
	}
	if got := metricsByReason(t, ops)["too_many"]; got == "0" {
		t.Error("refused connections are not counted")
	}
	if log := gateway.log(); strings.Contains(log, "too many open files") {
		t.Error("files are lacking")
	}
}
