package standalone

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rafflecast/rafflecast/services/internal/config"
)

func defaults(t *testing.T) Config {
	t.Helper()
	cfg := Config{DataDir: filepath.Join(t.TempDir(), "data")}
	dir := cfg.DataDir
	config.SetDefaults(&cfg)
	cfg.DataDir = dir
	return cfg
}

func TestConfig_DefaultsForOneProcess(t *testing.T) {
	t.Parallel()
	cfg := defaults(t)
	if err := cfg.Validate(); err != nil {
		t.Error(err)
	}
	if !cfg.Participation.Migrate || cfg.Gateway.DrainWindow != time.Second || cfg.Gateway.Heartbeat != 15*time.Second {
		t.Errorf("got %+v", cfg)
	}
}

func TestConfig_NamesFlagsWithTheirPrefixes(t *testing.T) {
	t.Parallel()
	cfg := defaults(t)
	cfg.Participation.Queue, cfg.Gateway.RetryMin = 0, time.Minute
	want := "--participation-queue=0: must be 1 to 1000000 calls\n--gateway-retry-max=5s: must be at least --retry-min, 1m0s"
	if err := cfg.Validate(); err == nil || err.Error() != want {
		t.Errorf("got %v", err)
	}
}

func TestRun_TakenPortsAreNamedBeforeAnythingStarts(t *testing.T) {
	t.Parallel()
	taken, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	const free = "127.0.0.1:0"
	cfg := defaults(t)
	cfg.Participation.GRPCAddress, cfg.Participation.HTTPAddress, cfg.Participation.OpsAddress = taken.Addr().
		String(),
		free, free
	cfg.Gateway.Address, cfg.Gateway.OpsAddress = free, taken.Addr().String()
	err = Run(t.Context(), cfg)
	for _, flag := range []string{"--participation-grpc-address", "--gateway-ops-address"} {
		if err == nil || !strings.Contains(err.Error(), "choose another address with "+flag) {
			t.Errorf("%s is not in: %v", flag, err)
		}
	}
	if _, err := os.Stat(cfg.DataDir); !os.IsNotExist(err) {
		t.Errorf("the data directory was created: %v", err)
	}
}

func TestConfig_IsClosedUnlessTold(t *testing.T) {
	t.Parallel()
	for flag, change := range map[string]func(*Config){
		"--participation-grpc-address=:0": func(c *Config) { c.Participation.GRPCAddress = ":0" },
		"--participation-http-address=:0": func(c *Config) { c.Participation.HTTPAddress = ":0" },
		"--gateway-address=0.0.0.0:0":     func(c *Config) { c.Gateway.Address = "0.0.0.0:0" },
		"--participation-ops-address=:0":  func(c *Config) { c.Participation.OpsAddress = ":0" },
		"--gateway-ops-address=:0":        func(c *Config) { c.Gateway.OpsAddress = ":0" },
	} {
		cfg := defaults(t)
		change(&cfg)
		err := Run(t.Context(), cfg)
		if err == nil || !strings.HasPrefix(err.Error(), flag) || strings.Count(err.Error(), "\n") > 0 || !strings.Contains(err.Error(), "--allow-anonymous") {
			t.Errorf("%s: %v", flag, err)
		}
		cfg.Access.AllowAnonymous = true
		if err := cfg.Validate(); err != nil {
			t.Errorf("%s and told: %v", flag, err)
		}
	}
}
