package conformance

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rafflecast/rafflecast/services/test/proxytest"
	"github.com/rafflecast/rafflecast/services/test/testenv"
)

// proxyConfig returns a configuration of testdata with the test's own addresses,
// and times that a test can wait for: the proxy closes connections that are idle
// for 2 s, and old ones 2 s after a reload. Public is the proxy's address.
func (b *testBundle) proxyConfig(name, dir, public string) string {
	b.t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		b.t.Fatal(err)
	}
	return strings.NewReplacer("DIR", dir, "127.0.0.1:9998", b.address, "127.0.0.1:8080", public, "75s", "2s", "60s", "2s").
		Replace(string(text))
}

func TestNginx_PassesStreamsOn(t *testing.T) {
	t.Parallel()
	b := setup(t)
	dir, public := t.TempDir(), testenv.FreeAddress(t)
	p := proxytest.StartNginx(t, dir, b.proxyConfig("nginx.conf", dir, public))
	testThrough(b, p, public, syscall.SIGHUP)
}

func TestHAProxy_PassesStreamsOn(t *testing.T) {
	t.Parallel()
	b := setup(t)
	dir, public := t.TempDir(), testenv.FreeAddress(t)
	p := proxytest.StartHAProxy(t, dir, b.proxyConfig("haproxy.cfg", dir, public))
	testThrough(b, p, public, syscall.SIGUSR2)
}

// testThrough watches through a proxy: events are not delayed, silence ends no
// stream, and a reload loses nothing.
func testThrough(b *testBundle, p *proxytest.Proxy, public string, reload syscall.Signal) {
	b.t.Helper()
	testenv.AwaitStatus(b.t, "http://"+public+"/api/v1/raffles", http.StatusOK)
	w := watch(b.t, "http://"+public+path)
	if got := w.nextOdds(); got != eventID(1) {
		b.t.Errorf("first: %s", got)
	}
	version := int64(1)
	publish := func() {
		b.t.Helper()
		version++
		start := time.Now()
		b.publish(version)
		if got, want := w.nextOdds(), eventID(version); got != want {
			b.t.Errorf("got %s, want %s", got, want)
		}
		if took := time.Since(start); took > time.Second {
			b.t.Errorf("version %d was delayed for %v", version, took)
		}
	}
	for range 5 {
		publish()
	}
	for start := time.Now(); time.Since(start) < 3*time.Second; { // longer than the proxy's limit for silence
		w.next("heartbeat")
	}
	publish()
	follow := func() {
		b.t.Helper()
		version++
		b.publish(version)
		for want := eventID(version); w.nextOdds() != want; {
		}
	}
	lost := w.lost.Load()
	p.Signal(b.t, reload)
	// The old process ends meanwhile, and the client reconnects to the new one.
	for deadline := time.Now().Add(20 * time.Second); w.lost.Load() == lost; follow() {
		if time.Now().After(deadline) {
			b.t.Fatal("the old process has not ended within 20 s")
		}
	}
	follow() // the client is there
	publish()
}
