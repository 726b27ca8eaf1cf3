package doctor

import (
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
	"github.com/rafflecast/rafflecast/services/gateway"
	"github.com/rafflecast/rafflecast/services/test/natstest"
	"github.com/rafflecast/rafflecast/services/test/proxytest"
	"github.com/rafflecast/rafflecast/services/test/servicetest"
	"github.com/rafflecast/rafflecast/services/test/testenv"
)

// heartbeat is longer than the limits of the proxies in testdata.
const heartbeat = 4 * time.Second

// startGateway starts a gateway with raffle 1 in a state, and returns its address.
func startGateway(t *testing.T, state rafflev1.Raffle_State) string {
	t.Helper()
	nats := natstest.Start(t)
	servicetest.NewOddsPublisher(t, nats).Publish(&rafflev1.Odds{Id: 1, Version: 1, State: state, Entries: 1, Winners: 1})
	return servicetest.StartGateway(t, nats.URL(), func(cfg *gateway.Config) {
		cfg.Heartbeat = heartbeat
		cfg.Hosts = "gateway" // nginx asks for it by the name in its configuration
	}).HTTP
}

// proxyConfig returns a configuration of testdata with a certificate's directory
// in place of DIR, free addresses in place of 127.0.0.1:@name@, which it returns by
// their names, and what else replace replaces.
func proxyConfig(
	t *testing.T,
	dir, file string,
	replace *strings.Replacer,
) (config string, addresses map[string]string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", file))
	if err != nil {
		t.Fatal(err)
	}
	config = strings.ReplaceAll(replace.Replace(string(text)), "DIR", dir)
	addresses = map[string]string{}
	for _, name := range regexp.MustCompile(`@(\w+)@`).FindAllStringSubmatch(config, -1) {
		addresses[name[1]] = testenv.FreeAddress(t)
		config = strings.ReplaceAll(config, "127.0.0.1:"+name[0], addresses[name[1]])
	}
	return config, addresses
}

// startNginx starts nginx in front of a gateway, and returns the addresses of its
// servers by their names in testdata.
func startNginx(t *testing.T, gateway string) map[string]string {
	t.Helper()
	dir := testenv.NewAuthority(t).Dir()
	config, addresses := proxyConfig(t, dir, "nginx.conf", strings.NewReplacer("GATEWAY", gateway))
	proxytest.StartNginx(t, dir, config)
	testenv.AwaitStatus(t, "http://"+addresses["good"]+"/api/v1/raffles", http.StatusOK)
	return addresses
}

// startHAProxy is startNginx for HAProxy, some servers of which have an nginx
// behind them.
func startHAProxy(t *testing.T, gateway string, nginx map[string]string) map[string]string {
	t.Helper()
	dir := testenv.NewAuthority(t).Dir()
	config, addresses := proxyConfig(t, dir, "haproxy.cfg",
		strings.NewReplacer("GATEWAY", gateway, "NGINX_GOOD", nginx["good"], "NGINX_TRANSFORM", nginx["transform"]))
	proxytest.StartHAProxy(t, dir, config)
	testenv.AwaitStatus(t, "http://"+addresses["good"]+"/api/v1/raffles", http.StatusOK)
	return addresses
}

// settings returns what a user would set, but for times that a test can wait for.
func settings(url string) Config {
	cfg := DefaultConfig()
	cfg.URL, cfg.Watch, cfg.Heartbeat, cfg.Insecure = url, 8*time.Second, heartbeat, true
	return cfg
}

// patient limits suit a machine that runs many tests at once.
var patient = limits{tolerance: 15 * time.Second, timeout: 30 * time.Second}
