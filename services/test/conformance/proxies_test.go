package conformance

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rafflecast/rafflecast/services/test/testenv"
)

// proxy is a real one in front of the gateway.
type proxy struct {
	t   *testing.T
	url string
	cmd *exec.Cmd
}

// front starts a proxy with the configuration of testdata, but for addresses,
// and times that a test can wait for: idle connections may be so for 2 s, old
// ones live for 2 s after a reload.
func (w *world) front(program, config string, args func(config, dir string) []string) *proxy {
	w.t.Helper()
	found := testenv.NeedProgram(w.t, program)
	text, err := os.ReadFile(filepath.Join("testdata", config))
	if err != nil {
		w.t.Fatal(err)
	}
	dir, listen := w.t.TempDir(), testenv.FreeAddress(w.t)
	settings := strings.NewReplacer("DIR", dir, "127.0.0.1:9998", w.addr, "127.0.0.1:8080", listen, "75s", "2s", "60s", "2s").Replace(string(text))
	file := filepath.Join(dir, config)
	if err := os.WriteFile(file, []byte(settings), 0o600); err != nil {
		w.t.Fatal(err)
	}
	p := &proxy{t: w.t, url: "http://" + listen, cmd: exec.Command(found, args(file, dir)...)}
	p.cmd.Stderr = w.t.Output()
	if err := p.cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		p.cmd.Process.Signal(syscall.SIGTERM)
		p.cmd.Wait()
	})
	testenv.AwaitStatus(w.t, p.url+"/api/v1/raffles", http.StatusOK)
	return p
}

func TestBehindNginx(t *testing.T) {
	t.Parallel()
	w := setup(t)
	p := w.front("nginx", "nginx.conf", func(config, dir string) []string {
		return []string{"-c", config, "-p", dir, "-g", "daemon off;"}
	})
	behind(w, p, syscall.SIGHUP)
}

func TestBehindHAProxy(t *testing.T) {
	t.Parallel()
	w := setup(t)
	p := w.front("haproxy", "haproxy.cfg", func(config, _ string) []string {
		return []string{"-W", "-db", "-f", config}
	})
	behind(w, p, syscall.SIGUSR2)
}

// behind watches through a proxy: nothing is held back, silence cuts nothing, and
// a reload loses nothing.
func behind(w *world, p *proxy, reload syscall.Signal) {
	w.t.Helper()
	v := watch(w.t, p.url+path)
	if got := v.odds(); got != "1:1" {
		w.t.Errorf("first: %s", got)
	}
	version := int64(1)
	publish := func() {
		w.t.Helper()
		version++
		from := time.Now()
		w.publish(version)
		if got, want := v.odds(), fmt.Sprintf("1:%d", version); got != want {
			w.t.Errorf("got %s, want %s", got, want)
		}
		if took := time.Since(from); took > time.Second {
			w.t.Errorf("version %d was held back for %v", version, took)
		}
	}
	for range 5 {
		publish()
	}
	for quiet := time.Now(); time.Since(quiet) < 3*time.Second; { // longer than the proxy's patience
		v.next("heartbeat")
	}
	publish()
	if err := p.cmd.Process.Signal(reload); err != nil {
		w.t.Fatal(err)
	}
	// The old process ends meanwhile, and the client comes back through the new.
	for from := time.Now(); time.Since(from) < 4*time.Second; {
		version++
		w.publish(version)
		for want := fmt.Sprintf("1:%d", version); v.odds() != want; {
		}
	}
	publish()
}
