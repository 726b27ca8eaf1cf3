package e2e_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/http2/hpack"

	"github.com/rafflecast/rafflecast/services/test/testenv"
)

// What strangers write reaches the log, if at all, as a value of a JSON object.
func TestHostile_NoInputReachesTheLogRaw(t *testing.T) {
	t.Parallel()
	asJSON := []string{"LOG_FORMAT=json", "LOG_LEVEL=debug"}
	// By this variable, gRPC's own logger would write lines of its own.
	b := setupWith(t, append(asJSON, "GRPC_GO_LOG_SEVERITY_LEVEL=info"), asJSON)
	const fake = `FAKE {"level":"ERROR","msg":"database lost"} a/b/c`
	for _, base := range []string{b.web, "http://" + b.facade} {
		for _, contentType := range []string{fake, "", "a/b\nc"} {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, base+"/api/v1/raffles/1/entries?memberId=x", strings.NewReader("{}"))
			if err != nil {
				t.Fatal(err)
			}
			req.Header["Content-Type"] = []string{strings.ReplaceAll(contentType, "\n", " ")}
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
		}
		for _, raw := range []string{"GET / HTTP/1.1\r\n" + fake + "\r\n\r\n", fake + "\r\n\r\n", "\x16\x03\x01\x00"} {
			c, err := net.Dial("tcp", strings.TrimPrefix(base, "http://"))
			if err != nil {
				t.Fatal(err)
			}
			c.SetDeadline(time.Now().Add(5 * time.Second))
			_, _ = io.WriteString(c, raw)
			_, _ = c.Read(make([]byte, 1))
			c.Close()
		}
	}
	for _, raw := range []string{fake, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + fake + strings.Repeat("x", 100)} { // gRPC
		c, err := net.Dial("tcp", b.grpc)
		if err != nil {
			t.Fatal(err)
		}
		c.SetDeadline(time.Now().Add(5 * time.Second))
		_, _ = io.WriteString(c, raw)
		_, _ = io.Copy(io.Discard, c)
		c.Close()
	}
	// gRPC has something to say of metadata that it can't decode.
	b.flood(t, "127.0.0.1", func(f *frames) {
		f.open(0, block(enterMethod, hpack.HeaderField{Name: "fake-bin", Value: fake}))
	})
	b.participation.awaitLog("database lost")
	for name, p := range map[string]*program{"participation": b.participation, "gateway": b.gateway} {
		for line := range strings.Lines(p.log()) {
			var record map[string]any
			if err := json.Unmarshal([]byte(line), &record); err != nil {
				t.Errorf("%s logs %q: %v", name, line, err)
			} else if record["level"] == "ERROR" {
				t.Errorf("%s logs a client's mistake as an error: %s", name, line)
			}
		}
	}
}

// A page that any name can point at loopback with reaches none of the ports.
func TestHostile_DNSRebindingReachesNoPort(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id := b.client.create(t, "A", 1)
	b.awaitRaffle(t, id)
	for _, url := range []string{
		fmt.Sprintf("%s/api/v1/raffles/%d/odds", b.web, id), fmt.Sprintf("http://%s/api/v1/raffles/%d", b.facade, id),
		b.webOps + "/metrics", b.webOps + "/debug/pprof/cmdline", "http://" + b.ops + "/metrics", "http://" + b.ops + "/debug/pprof/cmdline",
	} {
		for host, want := range map[string]int{"": 200, "localhost": 200, "evil.example": 421, "127.0.0.1.evil.example:80": 421} {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Host = host
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if resp.StatusCode != want {
				t.Errorf("%s for %q: %s", url, host, resp.Status)
			}
		}
	}
	testenv.AwaitStatus(t, b.webOps+"/livez", http.StatusOK)
}

// Five ways by which the page of another site makes its visitor send a request.
func TestHostile_NoPageEntersForItsVisitor(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id := b.client.create(t, "A", 1)
	b.awaitRaffle(t, id)
	for _, base := range []string{b.web, "http://" + b.facade} {
		for _, c := range []struct{ contentType, body string }{
			{"application/x-www-form-urlencoded", "memberId=victim"},
			{"text/plain", `{"memberId":"victim"}`},
			{"application/json", `{"memberId":"victim"}`},
			{"multipart/form-data; boundary=x", "--x\r\nContent-Disposition: form-data; name=\"memberId\"\r\n\r\nvictim\r\n--x--\r\n"},
			{"", ""},
		} {
			for _, path := range []string{"/api/v1/raffles/%d/entries?memberId=victim", "/api/v1/raffle/%d?memberId=victim"} {
				req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, base+fmt.Sprintf(path, id), strings.NewReader(c.body))
				if err != nil {
					t.Fatal(err)
				}
				req.Header.Set("Content-Type", c.contentType)
				req.Header.Set("Origin", "https://evil.example")
				req.Header.Set("Sec-Fetch-Site", "cross-site")
				resp, err := http.DefaultClient.Do(req)
				if err != nil {
					t.Fatal(err)
				}
				resp.Body.Close()
				if resp.StatusCode != http.StatusForbidden {
					t.Errorf("%s with %q: %s", req.URL, c.contentType, resp.Status)
				}
			}
		}
	}
	b.client.enter(t, id, "honest")
	if n := b.entriesOf(t.Context(), t, id); n != 1 {
		t.Errorf("%d entries", n)
	}
}

// An address that goes on to connect although it is refused is not let in at all for some
// seconds, on all public ports. Others are.
func TestHostile_FloodsOfConnectionsAreDroppedByTheKernel(t *testing.T) {
	t.Parallel()
	b := setupWith(t,
		[]string{"PARTICIPATION_NEW_CONNECTIONS_PER_CLIENT=1"},
		[]string{"GATEWAY_NEW_CONNECTIONS_PER_CLIENT=1", "GATEWAY_TRUSTED_PROXIES=192.0.2.1/32"})
	refused := func(name string) map[string]string {
		return metricsByReason(t, map[bool]string{true: b.webOps, false: "http://" + b.ops}[name == "gateway"])
	}
	for name, address := range map[string]string{"gRPC": b.grpc, "HTTP": b.facade, "gateway": strings.TrimPrefix(b.web, "http://")} {
		before := refused(name)
		connect := func(from string, within time.Duration) error {
			d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: within}
			c, err := d.DialContext(t.Context(), "tcp", address)
			if err == nil {
				err = c.Close()
			}
			return err
		}
		var err error
		for tries := 0; tries < 10_000 && (err == nil || errors.Is(err, syscall.ECONNRESET)); tries++ {
			err = connect("127.0.0.2", 2*time.Second)
		}
		if timedOut, ok := errors.AsType[net.Error](err); !ok || !timedOut.Timeout() {
			t.Errorf("%s: an address that goes on is let in: %v", name, err)
		}
		if err := connect("127.0.0.3", 10*time.Second); err != nil {
			t.Errorf("%s: another address: %v", name, err)
		}
		after := refused(name)
		for _, reason := range []string{"too_fast", "dropped"} {
			if before[reason] == after[reason] {
				t.Errorf("%s: %s is not counted: %v", name, reason, after)
			}
		}
	}
}
