package doctor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
	"github.com/rafflecast/rafflecast/services/internal/command"
	"github.com/rafflecast/rafflecast/services/test/testenv"
)

// expectation is a run of the doctor, and what it must report.
type expectation struct {
	url     string
	fault   string  // the only check that must find a fault; "": none may
	product product // that must be among those with advice
	text    string  // that must be in the product's advice
	first   bool    // the product must come first, since its responses name it
	also    string  // another check that must find a fault
}

// diagnoseAll runs a diagnosis for every expectation at once.
func diagnoseAll(t *testing.T, expectations map[string]expectation) {
	t.Helper()
	var running sync.WaitGroup
	for name, e := range expectations {
		running.Go(func() {
			var out bytes.Buffer
			limits := patient
			if e.fault == "buffering" {
				limits.timeout = 3 * time.Second // nothing arrives, however long it waits
			}
			err := run(t.Context(), settings(e.url), limits, &out, io.Discard)
			if wrong := e.check(out.String(), err); wrong != "" {
				t.Errorf("%s: %s\n%s%v", name, wrong, out.String(), err)
			}
		})
	}
	running.Wait()
}

// check returns what is wrong with a report, "" if nothing is.
func (e *expectation) check(out string, err error) string {
	if e.fault == "" {
		if err != nil || strings.Count(out, " ok ") != 7 {
			return "not every check passed"
		}
		return ""
	}
	faults := 1
	if e.also != "" {
		faults = 2
	}
	if exitCode(err) != exitFault || strings.Count(out, " FAULT ") != faults ||
		!strings.Contains(out, strings.TrimSpace(fmt.Sprintf("%-14s FAULT", e.also))) {
		return fmt.Sprintf("want %d faults", faults)
	}
	_, after, found := strings.Cut("\n"+out, fmt.Sprintf("\n%-14s FAULT ", e.fault))
	if !found {
		return "another check found the fault"
	}
	for i, line := range strings.Split(after, "\n")[1:] {
		name, text, _ := strings.Cut(strings.TrimSpace(line), " ")
		if name == string(e.product) && strings.Contains(text, e.text) && (i == 0 || !e.first) {
			return ""
		}
	}
	return fmt.Sprintf("no advice to change %s of %s", e.text, e.product)
}

// exitCode returns the exit code in a run's error.
func exitCode(err error) int {
	if failure, ok := errors.AsType[*command.ExitError](err); ok {
		return failure.Code
	}
	return 0
}

func TestDoctor_PassesAGatewayWithoutProxies(t *testing.T) {
	t.Parallel()
	diagnoseAll(t, map[string]expectation{"direct": {url: "http://" + startGateway(t, rafflev1.Raffle_OPEN) + "/"}})
}

func TestDoctor_FindsFaultsOfNginx(t *testing.T) {
	t.Parallel()
	at := startNginx(t, startGateway(t, rafflev1.Raffle_OPEN))
	diagnoseAll(t, map[string]expectation{
		"good":      {url: "http://" + at["good"]},
		"http2":     {url: "https://" + at["http2"]},
		"http1":     {"https://" + at["http1"], "many streams", nginx, "`http2 on;`", true, ""},
		"buffering": {"http://" + at["buffering"], "buffering", nginx, "proxy_ignore_headers X-Accel-Buffering", true, ""},
		"gzip":      {"http://" + at["gzip"], "compression", nginx, "gzip_types", true, ""},
		"timeout":   {"http://" + at["timeout"], "idle timeout", nginx, "proxy_read_timeout", true, ""},
		"header":    {"http://" + at["header"], "Last-Event-ID", nginx, `proxy_set_header Last-Event-ID ""`, true, ""},
		"query":     {"http://" + at["query"], "Last-Event-ID", nginx, "$is_args$args", true, ""},
		"limit":     {"http://" + at["limit"], "many streams", nginx, "limit_conn", true, ""},
		"errors":    {"http://" + at["errors"], "errors", nginx, "proxy_intercept_errors off", true, ""},
		"transform": {"http://" + at["transform"], "reach", nginx, "proxy_hide_header Cache-Control", true, ""},
	})
}

func TestDoctor_FindsFaultsOfHAProxy(t *testing.T) {
	t.Parallel()
	gateway := startGateway(t, rafflev1.Raffle_OPEN)
	at := startHAProxy(t, gateway, startNginx(t, gateway))
	diagnoseAll(t, map[string]expectation{
		"good":        {url: "http://" + at["good"]},
		"chain":       {url: "http://" + at["chain"]},
		"client":      {url: "http://" + at["client"]},
		"client2":     {url: "https://" + at["client2"]},
		"compression": {url: "http://" + at["compression"]},
		"compressed":  {"http://" + at["compressed"], "compression", haproxy, "compression type", false, "reach"},
		"server":      {"http://" + at["server"], "idle timeout", haproxy, "timeout server", true, ""},
		"header": {
			"http://" + at["header"],
			"Last-Event-ID",
			haproxy,
			"http-request del-header Last-Event-ID",
			false,
			"",
		},
	})
}

// The proxy passes on the beginning of a stream at once, and then two events at a
// time, as one that fills a buffer does.
func TestDoctor_FindsABufferThatFills(t *testing.T) {
	t.Parallel()
	target := &url.URL{Scheme: "http", Host: startGateway(t, rafflev1.Raffle_OPEN)}
	proxy := &httputil.ReverseProxy{
		Rewrite:        func(r *httputil.ProxyRequest) { r.SetURL(target) },
		FlushInterval:  -1,
		ModifyResponse: func(r *http.Response) error { r.Body = &pairingBody{body: r.Body}; return nil },
	}
	server := httptest.NewServer(proxy)
	t.Cleanup(server.Close)
	cfg, limits := settings(server.URL), patient
	cfg.Watch, limits.tolerance = 3*heartbeat, 500*time.Millisecond
	var out bytes.Buffer
	err := run(t.Context(), cfg, limits, &out, io.Discard)
	if exitCode(err) != exitFault || !strings.Contains(out.String(), "buffering      FAULT    a heartbeat arrived") {
		t.Errorf("%s%v", out.String(), err)
	}
}

// pairingBody passes on the first read, and later only two reads at a time.
type pairingBody struct {
	body  io.ReadCloser
	reads int
}

func (b *pairingBody) Read(p []byte) (int, error) {
	n, err := b.body.Read(p)
	if b.reads++; b.reads == 1 || err != nil {
		return n, err
	}
	more, err := b.body.Read(p[n:])
	return n + more, err
}

func (b *pairingBody) Close() error { return b.body.Close() }

func TestDoctor_ExitsWith2IfItCannotMeasure(t *testing.T) {
	t.Parallel()
	page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/moved/") {
			http.Redirect(w, r, "https://elsewhere.example/", http.StatusMovedPermanently)
			return
		}
		io.WriteString(w, "<h1>It works!</h1>")
	}))
	t.Cleanup(page.Close)
	gateway := startGateway(t, rafflev1.Raffle_OPEN)
	unknownRaffle := settings("http://" + gateway)
	unknownRaffle.Raffle = 7
	for want, cfg := range map[string]Config{
		"connection refused":                        settings("http://" + testenv.FreeAddress(t)),
		"does not answer as a gateway does":         settings(page.URL),
		`redirects to "https://elsewhere.example/"`: settings(page.URL + "/moved"),
		"RAFFLE_NOT_FOUND":                          unknownRaffle,
		"no raffle is open":                         settings("http://" + startGateway(t, rafflev1.Raffle_CLOSED)),
		"/no/such/api/v1/raffles":                   settings("http://" + gateway + "/no/such"),
	} {
		var out bytes.Buffer
		err := run(t.Context(), cfg, patient, &out, io.Discard)
		if exitCode(err) != exitUnknown || !strings.Contains(err.Error(), want) || out.Len() > 0 {
			t.Errorf("%s: got %v, %s", cfg.URL, err, out.String())
		}
	}
}

func TestDoctor_ExitsWith2IfItIsInterrupted(t *testing.T) {
	t.Parallel()
	ctx, interrupt := context.WithCancel(t.Context())
	cfg := settings("http://" + startGateway(t, rafflev1.Raffle_OPEN))
	cfg.Watch = time.Hour
	var out bytes.Buffer
	err := run(ctx, cfg, patient, &out, writerFunc(func(p []byte) {
		if strings.HasPrefix(string(p), "watching") {
			interrupt()
		}
	}))
	if exitCode(err) != exitUnknown || out.Len() > 0 {
		t.Errorf("got %v, %s", err, out.String())
	}
}

type writerFunc func([]byte)

func (w writerFunc) Write(p []byte) (int, error) { w(p); return len(p), nil }

func TestConfig_ChecksTheURL(t *testing.T) {
	t.Parallel()
	for _, url := range []string{"http://localhost:9998", "https://example.org/raffles/"} {
		if cfg := settings(url); cfg.Validate() != nil {
			t.Errorf("%s: %v", url, cfg.Validate())
		}
	}
	for _, url := range []string{"localhost:9998", "example.org", "ftp://example.org", "https://", "https://example.org/?a=1", "://"} {
		if cfg := settings(url); cfg.Validate() == nil {
			t.Errorf("%s is accepted", url)
		}
	}
}
