// Package proxytest runs nginx and HAProxy inside tests. A test is skipped, or
// fails in CI, if the machine lacks the program.
package proxytest

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/rafflecast/rafflecast/services/test/testenv"
)

// Proxy is a running proxy, which ends with the test.
type Proxy struct{ cmd *exec.Cmd }

// StartNginx runs nginx with the text of a configuration, and dir as its prefix.
func StartNginx(t testing.TB, dir, config string) *Proxy {
	t.Helper()
	file := write(t, dir, "nginx.conf", config)
	return start(t, "nginx", "-c", file, "-p", dir, "-g", "daemon off;")
}

// StartHAProxy runs HAProxy, a master and its worker, with the text of a
// configuration, which is written into dir.
func StartHAProxy(t testing.TB, dir, config string) *Proxy {
	t.Helper()
	file := write(t, dir, "haproxy.cfg", config)
	return start(t, "haproxy", "-W", "-db", "-f", file)
}

// Signal sends a signal to the proxy, such as the one that makes it reload.
func (p *Proxy) Signal(t testing.TB, signal syscall.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(signal); err != nil {
		t.Fatal(err)
	}
}

func write(t testing.TB, dir, name, text string) string {
	t.Helper()
	file := filepath.Join(dir, name)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func start(t testing.TB, program string, args ...string) *Proxy {
	t.Helper()
	cmd := exec.Command(testenv.NeedProgram(t, program), args...) //nolint:gosec,noctx // SIGTERM ends it
	cmd.Stderr = t.Output()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	})
	return &Proxy{cmd}
}
