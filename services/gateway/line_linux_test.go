package gateway

import (
	"net"
	"path/filepath"
	"testing"

	"github.com/rafflecast/rafflecast/services/internal/telemetry"
	"github.com/rafflecast/rafflecast/services/test/testenv"
)

// Connections wait for their turn if their address connects often or, since a TLS handshake
// costs more than all else, with TLS. Those of a proxy are many people's, and do not wait.
func TestGateway_ConnectionsWaitForTheirTurn(t *testing.T) {
	t.Parallel()
	dir := testenv.NewAuthority(t).Dir()
	const elsewhere, loopback = "192.0.2.1/32", "127.0.0.0/8"
	for name, c := range map[string]struct {
		tls         bool
		proxies     string
		connections int // the first 100 at once are not frequent
		wait        bool
	}{
		"few":                {false, elsewhere, 60, false},
		"many":               {false, elsewhere, 200, true},
		"many of a proxy":    {false, loopback, 200, false},
		"few with TLS":       {true, elsewhere, 60, true},
		"proxy's with TLS":   {true, loopback, 200, false},
		"many with TLS, too": {true, elsewhere, 200, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := testConfig(t)
			if c.tls {
				cfg.TLS.Certificate, cfg.TLS.Key = filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
			}
			cfg.NewConnectionsPerClient, cfg.TrustedProxies = 1000, c.proxies
			s, err := newService(&cfg, &telemetry.Traces{})
			if err != nil {
				t.Fatal(err)
			}
			defer s.release()
			inner, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			l, err := s.accepting(inner)
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			for range c.connections {
				client, err := new(net.Dialer).DialContext(t.Context(), "tcp", inner.Addr().String())
				if err != nil {
					t.Fatal(err)
				}
				defer client.Close()
				if _, err := client.Write([]byte{'x'}); err != nil {
					t.Fatal(err)
				}
			}
			most := int64(0)
			for range c.connections {
				accepted, err := l.Accept()
				if err != nil {
					t.Fatal(err)
				}
				accepted.Close()
				most = max(most, s.waiting.Load())
			}
			if (most > 0) != c.wait {
				t.Errorf("at most %d connections waited", most)
			}
		})
	}
}
