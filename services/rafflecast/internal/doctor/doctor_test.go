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

// visit is a run of the doctor, and what it must say.
type visit struct {
	url   string
	fault string  // the check that finds one, and no other does; empty: all is well
	named product // whose setting is among those to try
	text  string  // in that setting
	first bool    // answers name the product, so it comes first
	also  string  // another check that finds one
}

// examine runs all visits at once.
func examine(t *testing.T, visits map[string]visit) {
	t.Helper()
	var all sync.WaitGroup
	for name, v := range visits {
		all.Go(func() {
			var out bytes.Buffer
			cfg := settingsFor(v.url)
			if v.fault == "buffering" {
				cfg.patience = 3 * time.Second // for nothing
			}
			err := Run(t.Context(), cfg, &out, io.Discard)
			if wrong := v.check(out.String(), err); wrong != "" {
				t.Errorf("%s: %s\n%s%v", name, wrong, out.String(), err)
			}
		})
	}
	all.Wait()
}

// check returns what is wrong with a report.
func (v *visit) check(out string, err error) string {
	if v.fault == "" {
		if err != nil || strings.Count(out, " ok ") != 7 {
			return "all is well, which it doesn't say"
		}
		return ""
	}
	faults := 1
	if v.also != "" {
		faults = 2
	}
	if exitCode(err) != exitFault || strings.Count(out, " FAULT ") != faults || !strings.Contains(out, strings.TrimSpace(fmt.Sprintf("%-14s FAULT", v.also))) {
		return fmt.Sprintf("faults there are: %d", faults)
	}
	_, after, found := strings.Cut("\n"+out, fmt.Sprintf("\n%-14s FAULT ", v.fault))
	if !found {
		return "the fault is of another kind"
	}
	for i, line := range strings.Split(after, "\n")[1:] {
		name, text, _ := strings.Cut(strings.TrimSpace(line), " ")
		if name == string(v.named) && strings.Contains(text, v.text) && (i == 0 || !v.first) {
			return ""
		}
	}
	return fmt.Sprintf("%s is not told of %s", v.named, v.text)
}

// exitCode returns that of a run's error.
func exitCode(err error) int {
	if failure, ok := errors.AsType[*command.ExitError](err); ok {
		return failure.Code
	}
	return 0
}

func TestDirectly(t *testing.T) {
	t.Parallel()
	examine(t, map[string]visit{"directly": {url: "http://" + setup(t).addr + "/"}})
}

func startNginx(t *testing.T, w *world) map[string]string {
	t.Helper()
	return front(t, "nginx", "nginx.conf", strings.NewReplacer("GATEWAY", w.addr), func(file, dir string) []string {
		return []string{"-c", file, "-p", dir, "-g", "daemon off;"}
	})
}

func TestBehindNginx(t *testing.T) {
	t.Parallel()
	w := setup(t)
	at := startNginx(t, w)
	examine(t, map[string]visit{
		"good":      {url: "http://" + at["good"]},
		"http2":     {url: "https://" + at["http2"]},
		"http1":     {"https://" + at["http1"], "many streams", nginx, "`http2 on;`", true, ""},
		"buffering": {"http://" + at["buffering"], "buffering", nginx, "proxy_ignore_headers X-Accel-Buffering", true, ""},
		"gzip":      {"http://" + at["gzip"], "compression", nginx, "gzip_types", true, ""},
		"timeout":   {"http://" + at["timeout"], "idle cuts", nginx, "proxy_read_timeout", true, ""},
		"field":     {"http://" + at["field"], "Last-Event-ID", nginx, `proxy_set_header Last-Event-ID ""`, true, ""},
		"query":     {"http://" + at["query"], "Last-Event-ID", nginx, "$is_args$args", true, ""},
		"limit":     {"http://" + at["limit"], "many streams", nginx, "limit_conn", true, ""},
		"errors":    {"http://" + at["errors"], "errors", nginx, "proxy_intercept_errors off", true, ""},
		"transform": {"http://" + at["transform"], "reach", nginx, "proxy_hide_header Cache-Control", true, ""},
	})
}

func TestBehindHAProxy(t *testing.T) {
	t.Parallel()
	w := setup(t)
	behind := startNginx(t, w)
	at := front(t, "haproxy", "haproxy.cfg", strings.NewReplacer("GATEWAY", w.addr, "NGINX_GOOD", behind["good"], "NGINX_TRANSFORM", behind["transform"]), func(file, _ string) []string {
		return []string{"-W", "-db", "-f", file}
	})
	examine(t, map[string]visit{
		"good":        {url: "http://" + at["good"]},
		"chain":       {url: "http://" + at["chain"]},
		"client":      {url: "http://" + at["client"]},
		"client2":     {url: "https://" + at["client2"]},
		"compression": {url: "http://" + at["compression"]},
		"packed":      {"http://" + at["packed"], "compression", haproxy, "compression type", false, "reach"},
		"server":      {"http://" + at["server"], "idle cuts", haproxy, "timeout server", true, ""},
		"field":       {"http://" + at["field"], "Last-Event-ID", haproxy, "http-request del-header Last-Event-ID", false, ""},
	})
}

// A proxy that passes a stream's beginning on at once, and then two events at a
// time, as one does that fills a buffer.
func TestBehindABufferThatFills(t *testing.T) {
	t.Parallel()
	w := setup(t)
	target := &url.URL{Scheme: "http", Host: w.addr}
	proxy := &httputil.ReverseProxy{
		Rewrite:        func(r *httputil.ProxyRequest) { r.SetURL(target) },
		FlushInterval:  -1,
		ModifyResponse: func(r *http.Response) error { r.Body = &buffer{ReadCloser: r.Body}; return nil },
	}
	server := httptest.NewServer(proxy)
	t.Cleanup(server.Close)
	cfg := settingsFor(server.URL)
	cfg.slack, cfg.Watch = 500*time.Millisecond, 3*heartbeat
	var out bytes.Buffer
	err := Run(t.Context(), cfg, &out, io.Discard)
	if exitCode(err) != exitFault || !strings.Contains(out.String(), "buffering      FAULT    a heartbeat came") {
		t.Errorf("%s%v", out.String(), err)
	}
}

// buffer holds events back until there are two; the first goes through.
type buffer struct {
	io.ReadCloser
	reads int
}

func (b *buffer) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if b.reads++; b.reads == 1 || err != nil {
		return n, err
	}
	more, err := b.ReadCloser.Read(p[n:])
	return n + more, err
}

// What can't be measured is told, with exit code 2.
func TestNotUnderstood(t *testing.T) {
	t.Parallel()
	page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/moved/") {
			http.Redirect(w, r, "https://elsewhere.example/", http.StatusMovedPermanently)
			return
		}
		io.WriteString(w, "<h1>It works!</h1>")
	}))
	t.Cleanup(page.Close)
	w := setup(t)
	over := setupState(t, rafflev1.Raffle_CLOSED)
	stranger := settingsFor("http://" + w.addr)
	stranger.Raffle = 7
	for want, cfg := range map[string]Config{
		"connection refused":                    settingsFor("http://" + testenv.FreeAddress(t)),
		"what no gateway says":                  settingsFor(page.URL),
		`leads to "https://elsewhere.example/"`: settingsFor(page.URL + "/moved"),
		"raffle 7 is not known":                 stranger,
		"no raffle is open":                     settingsFor("http://" + over.addr),
		"/no/such/api/v1/raffles":               settingsFor("http://" + w.addr + "/no/such"),
	} {
		var out bytes.Buffer
		err := Run(t.Context(), cfg, &out, io.Discard)
		if exitCode(err) != exitUnknown || !strings.Contains(err.Error(), want) || out.Len() > 0 {
			t.Errorf("%s: got %v, %s", cfg.URL, err, out.String())
		}
	}
}

func TestStopped(t *testing.T) {
	t.Parallel()
	ctx, stop := context.WithCancel(t.Context())
	cfg := settingsFor("http://" + setup(t).addr)
	cfg.Watch = time.Hour
	var out bytes.Buffer
	err := Run(ctx, cfg, &out, writer(func(p []byte) {
		if strings.HasPrefix(string(p), "watching") {
			stop()
		}
	}))
	if exitCode(err) != exitUnknown || out.Len() > 0 {
		t.Errorf("got %v, %s", err, out.String())
	}
}

type writer func([]byte)

func (w writer) Write(p []byte) (int, error) { w(p); return len(p), nil }

func TestValidate(t *testing.T) {
	t.Parallel()
	for _, url := range []string{"http://localhost:9998", "https://example.org/raffles/"} {
		if cfg := settingsFor(url); cfg.Validate() != nil {
			t.Errorf("%s: %v", url, cfg.Validate())
		}
	}
	for _, url := range []string{"localhost:9998", "example.org", "ftp://example.org", "https://", "https://example.org/?a=1", "://"} {
		if cfg := settingsFor(url); cfg.Validate() == nil {
			t.Errorf("%s is taken", url)
		}
	}
}
