package e2e_test

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
	"github.com/rafflecast/rafflecast/services/test/natstest"
	"github.com/rafflecast/rafflecast/services/test/pgtest"
	"github.com/rafflecast/rafflecast/services/test/servicetest"
)

// A service that lacks files says so at each port, as errors in the form of its log, and
// goes on once it has files again. The operations port, which is inside, is not bounded.
func TestServices_LogThatTheyLackFiles(t *testing.T) {
	t.Parallel()
	const files = 200
	asJSON := []string{"LOG_FORMAT=json"}
	for name, launched := range map[string]func(t *testing.T) (p *program, ops string, ports []string){
		"gateway": func(t *testing.T) (*program, string, []string) {
			t.Helper()
			nats := natstest.Start(t)
			servicetest.NewOddsPublisher(t, nats).Publish(&rafflev1.Odds{Id: 1, Version: 1, Title: "A", State: rafflev1.Raffle_OPEN, Winners: 1})
			p := launchWithFiles(t, files, asJSON, "gateway", "serve", "--nats-url="+nats.URL(), "--address="+anyPort, "--ops-address="+anyPort, "--drain-window=0s")
			web, ops := awaitGateway(t, p)
			return p, strings.TrimPrefix(ops, "http://"), []string{strings.TrimPrefix(web, "http://")}
		},
		"participation": func(t *testing.T) (*program, string, []string) {
			t.Helper()
			p := launchWithFiles(t, files, asJSON, "participation", "serve", "--database-url="+pgtest.URL(t), "--migrate",
				"--nats-url="+natstest.Start(t).URL(), "--grpc-address="+anyPort, "--http-address="+anyPort, "--ops-address="+anyPort)
			at := p.awaitLog(servingPattern)
			return p, at[3], []string{at[1], at[2]}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, ops, ports := launched(t)
			connect := func(to string) net.Conn {
				c, err := new(net.Dialer).DialContext(t.Context(), "tcp", to)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { c.Close() })
				return c
			}
			conns := make([]net.Conn, files)
			for i := range conns {
				conns[i] = connect(ops)
				_, _ = io.WriteString(conns[i], "GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
			}
			// More than the files that become free when connections to the database end.
			for _, port := range ports {
				for range files / 2 {
					connect(port)
				}
			}
			for _, port := range append(ports, ops) {
				p.awaitLog(regexp.QuoteMeta(port) + `.*too many open files`)
			}
			for _, c := range conns {
				c.Close()
			}
			for line := range strings.Lines(p.log()) {
				var record struct{ Level string }
				if err := json.Unmarshal([]byte(line), &record); err != nil {
					t.Errorf("it logs %q: %v", line, err)
				} else if strings.Contains(line, "too many open files") && strings.Contains(line, "accept4") && record.Level != "ERROR" {
					t.Errorf("it is no error: %s", line)
				}
			}
			client := &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
			resp, err := client.Get("http://" + ops + "/livez")
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
		})
	}
}
