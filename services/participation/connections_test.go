package participation_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"github.com/rafflecast/rafflecast/services/participation"
	"github.com/rafflecast/rafflecast/services/test/testenv"
)

// connect opens a connection from an address of loopback, which stays open until the test
// ends, sends a text, and returns a reader of the answer; nil if the connection was refused.
func connect(t *testing.T, from string, to net.Addr, text string) *bufio.Reader {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	c, err := d.DialContext(t.Context(), "tcp", to.String())
	if err != nil {
		return nil // it was closed before it was seen to be open
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(c, text) // if it was refused, so is reading
	r := bufio.NewReader(c)
	if _, err := r.Peek(1); err != nil {
		if timedOut, ok := err.(net.Error); ok && timedOut.Timeout() { //nolint:errorlint // as net returns it
			t.Fatalf("%v neither answers nor refuses", to)
		}
		return nil
	}
	return r
}

// What clients begin with: a request, and over gRPC the preface with its empty SETTINGS frame.
const (
	getNothing = "GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n"
	preface    = http2.ClientPreface + "\x00\x00\x00\x04\x00\x00\x00\x00\x00"
)

// Beyond the bounds, connections are closed and counted, at each port, and operators are
// answered all the same.
func TestConnections_AreBoundedAtEachPort(t *testing.T) {
	t.Parallel()
	b := prepare(t)
	b.cfg.MaxConnections, b.cfg.MaxIdlePerClient, b.cfg.NewConnectionsPerClient = 6, 2, 0
	b.start(t)
	// The server counts a connection as idle a moment after its answer.
	testenv.Eventually(t, "the third connection of a client closes", 20*time.Second, func() bool {
		answer := connect(t, "127.0.0.2", b.at.HTTP, getNothing)
		if answer == nil {
			return false // the one before is not closed yet
		}
		resp, err := http.ReadResponse(answer, nil)
		if err != nil {
			t.Fatal(err)
		}
		return resp.Body.Close() == nil && resp.Close
	})
	refused := func() string {
		return regexp.MustCompile(`refused_connections_total\{reason="too_many"\} (\S+)`).FindStringSubmatch(b.metrics(t))[1]
	}
	for port, c := range map[string]struct {
		at   net.Addr
		text string
	}{"HTTP": {b.at.HTTP, getNothing}, "gRPC": {b.at.GRPC, preface}} {
		before, taken := refused(), 0
		for connect(t, fmt.Sprint("127.0.1.", taken+1), c.at, c.text) != nil {
			if taken++; taken > 6 {
				t.Fatalf("%s takes %d more connections", port, taken)
			}
		}
		if after := refused(); after == before {
			t.Errorf("%s: refused connections are not counted: %s", port, after)
		}
	}
}

// What can't be read of the URLs is an error that says so, and does not tell their passwords.
func TestRun_RefusesURLsThatCannotBeRead(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*participation.Config){
		"port of the database": func(c *participation.Config) { c.DatabaseURL = "postgres://user:secret@localhost:port/database" },
		"option of the database": func(c *participation.Config) {
			c.DatabaseURL = "postgres://user:secret@localhost/database?sslmode=secured"
		},
		"keyword of the database":     func(c *participation.Config) { c.DatabaseURL = "host=localhost password=secret port=port" },
		"user's name in the database": func(c *participation.Config) { c.DatabaseURL = "postgres://us er:secret@localhost/database" },
		"port of NATS":                func(c *participation.Config) { c.NATSURL = "nats://user:secret@localhost:port" },
		"user's name at NATS":         func(c *participation.Config) { c.NATSURL = "nats://us%er:secret@localhost" },
	} {
		cfg := participation.DefaultConfig()
		cfg.DatabaseURL, cfg.NATSURL = "postgres://127.0.0.1:1/none", "nats://127.0.0.1:1"
		cfg.GRPCAddress, cfg.HTTPAddress, cfg.OpsAddress = "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"
		change(&cfg)
		if err := participation.Run(t.Context(), cfg); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
