package gateway

import "testing"

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
