package gateway

import (
	"strings"
	"testing"
	"time"

	"github.com/rafflecast/rafflecast/services/internal/natsconn"
	"github.com/rafflecast/rafflecast/services/internal/oddsstream"
)

func TestConfig_ReportsAllErrors(t *testing.T) {
	t.Parallel()
	err := Run(t.Context(), Config{
		Settings: Settings{
			Address: "nowhere", OpsAddress: "127.0.0.1:70000", ConflationInterval: -1, Heartbeat: 1, Lifetime: 1, RetryMin: -1, RetryMax: 2 * time.Hour,
			WriteTimeout: 1, DrainDelay: -1, DrainWindow: -1,
			SendBuffer: 1, MaxConnections: -1, MaxConnectionsPerClient: -1, TrustedProxies: "10.0.0.0", CORSOrigins: "https://a.example/b",
			GCPercent: -1,
		},
		Peers:          Peers{NATSAPIPrefix: "odds.*", ParticipationURL: "participation:9080"},
		ServerSettings: natsconn.ServerSettings{NATSCA: "/absent/ca.crt", NATSCredentials: "/absent/gateway.creds"},
	})
	if err == nil {
		t.Fatal("it runs")
	}
	for _, flag := range []string{
		"address", "ops-address", "conflation-interval", "heartbeat", "lifetime", "retry-min", "retry-max", "write-timeout",
		"drain-delay", "drain-window", "nats-url", "nats-ca", "nats-credentials", "nats-api-prefix", "participation-url",
		"send-buffer", "max-connections", "max-connections-per-client", "max-raffles", "trusted-proxies", "cors-origins",
		"max-header-bytes", "header-timeout", "gc-percent",
	} {
		if !strings.Contains(err.Error(), "--"+flag+"=") && !strings.Contains(err.Error(), "--"+flag+" (NATS_URL) has no value") {
			t.Errorf("--%s is not in: %v", flag, err)
		}
	}
}

// One without the other would be no TLS, or no certificate, where the operator believes
// that there is one.
func TestConfig_NeedsBothACertificateAndItsKey(t *testing.T) {
	t.Parallel()
	for want, change := range map[string]func(*Config){
		"--tls-cert (GATEWAY_TLS_CERT) has no value":             func(c *Config) { c.TLS.Key = "/absent/tls.key" },
		"--tls-key (GATEWAY_TLS_KEY) has no value":               func(c *Config) { c.TLS.Certificate = "/absent/tls.crt" },
		"--participation-cert (PARTICIPATION_CERT) has no value": func(c *Config) { c.ParticipationKey = "/absent/tls.key" },
		"--participation-cert=/absent/tls.crt":                   func(c *Config) { c.ParticipationCert = "/absent/tls.crt" },
	} {
		cfg := DefaultConfig()
		change(&cfg)
		if err := cfg.Validate(); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("want %s: %v", want, err)
		}
	}
}

func TestConfig_RefusesHostsThatNoRequestIsFor(t *testing.T) {
	t.Parallel()
	cfg := DefaultConfig()
	cfg.Hosts = "odds.example.org, https://a.example/"
	const want = `--hosts=odds.example.org, https://a.example/: must be names like odds.example.org, separated by commas, or *: "https://a.example/" is none`
	if err := cfg.Validate(); err == nil || err.Error() != want {
		t.Errorf("want %s: %v", want, err)
	}
}

// The depth of the stream is computed from these defaults.
func TestConfig_DefaultsFitTheStream(t *testing.T) {
	t.Parallel()
	cfg := DefaultConfig()
	if cfg.ConflationInterval != oddsstream.ConflationInterval || cfg.RetryMax != oddsstream.LongestRetry {
		t.Errorf("conflation interval %v, longest retry %v", cfg.ConflationInterval, cfg.RetryMax)
	}
}
