package gateway

import (
	"net"
	"runtime"
	"testing"
	"time"

	"github.com/rafflecast/rafflecast/services/internal/socket"
)

func TestRun_ServesOnGivenListeners(t *testing.T) {
	t.Parallel()
	cfg := DefaultConfig()
	cfg.Address, cfg.OpsAddress = "127.0.0.1:0", "127.0.0.1:0"
	l, err := Listen(t.Context(), &cfg.Settings, "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	s := start(t, func(c *Config) { c.Listeners = l })
	if s.addrs.HTTP != l.http.Addr() || s.addrs.Ops != l.ops.Addr() {
		t.Errorf("it listens on %v, %v", s.addrs.HTTP, s.addrs.Ops)
	}
}

func TestListen_ClientsThatVanishHaveTimeByTheWriteTimeout(t *testing.T) {
	t.Parallel()
	cfg := DefaultConfig()
	cfg.Address, cfg.OpsAddress, cfg.WriteTimeout = "127.0.0.1:0", "127.0.0.1:0", 7*time.Minute
	public, private, err := listen(t.Context(), &cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer public.Close()
	defer private.Close()
	raw, err := public.(*net.TCPListener).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	d, err := socket.UserTimeout(raw)
	if want := 4 * cfg.WriteTimeout; err != nil || d != want && runtime.GOOS == "linux" {
		t.Errorf("data may stay unacknowledged for %v, want %v: %v", d, want, err)
	}
}
