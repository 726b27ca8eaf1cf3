package bench

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/rafflecast/rafflecast/services/internal/command"
	"github.com/rafflecast/rafflecast/services/internal/config/configtest"
	"github.com/rafflecast/rafflecast/services/rafflecast/localpg"
	"github.com/rafflecast/rafflecast/services/test/testenv"
)

// partArgument makes the test binary a program that runs one part.
const partArgument = "bench-part"

func TestMain(m *testing.M) {
	switch {
	case filepath.Base(os.Args[0]) == "gateway":
		fmt.Fprintln(os.Stderr, serveNoUpdates())
		os.Exit(1)
	case len(os.Args) > 1 && os.Args[1] == partArgument:
		os.Args = append(os.Args[:1:1], os.Args[2:]...)
		os.Exit(command.Main("bench", "Runs a part.", &Parts{}))
	}
	code := m.Run()
	if dir, _ := programs(); dir != "" {
		_ = os.RemoveAll(dir)
	}
	os.Exit(code)
}

// serveNoUpdates is a gateway that has every viewer connected, and sends it the first
// version of its raffle and nothing more.
func serveNoUpdates() error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, `{"level":"INFO","msg":"gateway is serving","http":%q,"ops":%[1]q}`+"\n", listener.Addr().String())
	return http.Serve(listener, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasSuffix(r.URL.Path, "/subscribe") {
			return // the raffle is known
		}
		id := strings.Split(r.URL.Path, "/")[4]
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		_, _ = fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"+oddsText, id, 1)
		_, _ = conn.Read(make([]byte, 1)) // until the viewer leaves
		_ = conn.Close()
	}))
}

// oddsText is an event of a raffle with a version.
const oddsText = "id: %s:k3:%d\nevent: raffle-winning-probability\ndata: {\"id\":1,\"at\":\"2026-11-22T10:00:00.123Z\"}\n\n"

// settings returns the configuration of a short run.
func settings(t *testing.T, args ...string) Config {
	t.Helper()
	if _, err := localpg.Find(t.Context(), localpg.FindOptions{Offline: true}); err != nil {
		testenv.SkipMissing(t, "PostgreSQL: "+err.Error())
	}
	dir, err := programs()
	if err != nil {
		t.Fatal(err)
	}
	var cfg Config
	configtest.Parse(t, &cfg, append([]string{
		"--programs=" + dir, "--turns=1", "--duration=1s", "--warm-up=100ms", "--viewers=50", "--few=2", "--raffles=5", "--rate=200",
	}, args...)...)
	cfg.Program = []string{os.Args[0], partArgument}
	return cfg
}

// programs builds the services once, and returns the directory that holds them.
var programs = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "rafflecast-bench-")
	if err != nil {
		return "", err
	}
	out, err := exec.Command("go", "build", "-o", dir,
		"github.com/rafflecast/rafflecast/services/participation/cmd/participation",
		"github.com/rafflecast/rafflecast/services/gateway/cmd/gateway").CombinedOutput()
	if err != nil {
		return dir, fmt.Errorf("build: %w\n%s", err, out)
	}
	return dir, nil
})

// The figures of so short a run mean nothing.
func TestBench_EndsWithResults(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	if err := Run(t.Context(), settings(t), &out, t.Output()); err != nil {
		t.Fatal(err)
	}
	t.Log(out.String())
	const number = ` [1-9][\d.e+]*\n`
	var want strings.Builder
	for _, suffix := range []string{"", "_few", "_raffles"} {
		for _, name := range []string{"age_p50_ms", "age_p99_ms", "deliveries_per_s"} {
			want.WriteString("RESULT " + name + suffix + number)
		}
	}
	if !regexp.MustCompile(want.String() + "$").MatchString(out.String()) {
		t.Errorf("the results are not %s", want.String())
	}
	for _, row := range rows() {
		if strings.HasPrefix(row, waitOf) || row == cpuOf+nameOthers {
			continue // may be 0
		}
		if !regexp.MustCompile(regexp.QuoteMeta(row) + `( +[\d.e+-]+){3}\n`).MatchString(out.String()) {
			t.Errorf("no figures for %q", row)
		}
	}
}

func TestBench_FailsIfTheGatewaySendsNothing(t *testing.T) {
	t.Parallel()
	cfg := settings(t, "--only=crowd", "--patience=2s")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, program := range map[string]string{"participation": filepath.Join(cfg.Programs, "participation"), "gateway": self} {
		if err := os.Symlink(program, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	cfg.Programs = dir
	if err := Run(t.Context(), cfg, &bytes.Buffer{}, t.Output()); err == nil || !strings.Contains(err.Error(), askEnd) {
		t.Errorf("got %v", err)
	}
}

func TestConfig_ReportsUnknownScenes(t *testing.T) {
	t.Parallel()
	var cfg Config
	configtest.Parse(t, &cfg, "--only=crowd,swarm")
	if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), "--only=crowd,swarm") {
		t.Errorf("got %v", err)
	}
}
