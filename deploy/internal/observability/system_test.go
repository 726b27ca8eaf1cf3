package observability

import (
	"bufio"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

const root = "../../.."

// system is both services with their stores, as `rafflecast run` runs them.
type system struct {
	program string
	web     string   // the gateway's address
	grpc    string   // the address of participation's gRPC API
	metrics []string // the metrics URLs of both services
}

// run starts the system on free ports. It stops when the test ends.
func run(t *testing.T) *system {
	t.Helper()
	s := &system{program: filepath.Join(t.TempDir(), "rafflecast")}
	build := exec.CommandContext(t.Context(), "go", "build", "-o", s.program, "./services/rafflecast/cmd/rafflecast")
	build.Dir = root
	build.Env = append(os.Environ(), "GOWORK=") // build in the workspace, to which this module does not belong
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	serve := exec.CommandContext(t.Context(), s.program, "run", "--data-dir="+dataDir(t), "--log-level=warn")
	serve.Env = append(os.Environ(), "DATABASE_URL=")
	for _, address := range []string{
		"GATEWAY_ADDRESS", "GATEWAY_OPS_ADDRESS",
		"PARTICIPATION_GRPC_ADDRESS", "PARTICIPATION_HTTP_ADDRESS", "PARTICIPATION_OPS_ADDRESS",
	} {
		serve.Env = append(serve.Env, address+"=127.0.0.1:0")
	}
	serve.Stderr = t.Output()
	serve.Cancel = func() error { return serve.Process.Signal(syscall.SIGTERM) }
	serve.WaitDelay = 20 * time.Second
	out, err := serve.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := serve.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = serve.Wait() }) // it stops because t's context has ended
	s.await(t, out)
	return s
}

var (
	page       = regexp.MustCompile(`the page +http://([^/]+)/`)
	operations = regexp.MustCompile(`http://[^/]+/metrics`)
	grpcurl    = regexp.MustCompile(`(\S+) raffle\.v1\.ParticipationService/Enter`)
)

// await reads the welcome message, which is printed once everything is ready, up to its
// last address.
func (s *system) await(t *testing.T, out io.Reader) {
	t.Helper()
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if found := page.FindStringSubmatch(lines.Text()); found != nil {
			s.web = found[1]
		}
		s.metrics = append(s.metrics, operations.FindAllString(lines.Text(), -1)...)
		if found := grpcurl.FindStringSubmatch(lines.Text()); found != nil {
			s.grpc = found[1]
			return
		}
	}
	t.Fatal("rafflecast run has ended before all was ready")
}

// enter places entries over gRPC, both unary and streamed, and over HTTP while a client
// watches the raffle. Afterwards all metrics of entries and deliveries have series.
func (s *system) enter(t *testing.T) {
	t.Helper()
	for _, mode := range []string{"unary", "stream"} {
		load := exec.CommandContext(t.Context(), s.program, "load", "--target="+s.grpc, "--mode="+mode, "--count=50")
		if out, err := load.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	watching := request(t, http.MethodGet, "http://"+s.web+"/api/v1/raffle/1/subscribe")
	events := bufio.NewScanner(watching)
	awaitEvent(t, events)
	request(t, http.MethodPost, "http://"+s.web+"/api/v1/raffle/1?memberId=7")
	awaitEvent(t, events)
}

func awaitEvent(t *testing.T, lines *bufio.Scanner) {
	t.Helper()
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), "data:") {
			return
		}
	}
	t.Fatal("the stream has ended: ", lines.Err())
}

// request returns the body of a response with the status OK. The body stays open until
// the test ends.
func request(t *testing.T, method, url string) io.Reader {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	if resp.StatusCode != http.StatusOK {
		t.Fatal(url, resp.Status)
	}
	return resp.Body
}

// scrape returns the metrics of both services.
func (s *system) scrape(t *testing.T) Metrics {
	t.Helper()
	if len(s.metrics) != 2 {
		t.Fatal("metrics are at ", s.metrics)
	}
	metrics := NewMetrics()
	for _, url := range s.metrics {
		if err := metrics.Scrape(request(t, http.MethodGet, url)); err != nil {
			t.Fatal(err)
		}
	}
	return metrics
}

// dataDir returns a directory that PostgreSQL's account reaches, so that nothing of
// it is put elsewhere.
func dataDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Chmod(filepath.Dir(dir), 0o711); err != nil {
		t.Fatal(err)
	}
	return dir
}
