package e2e_test

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/rafflecast/rafflecast/services/internal/oddsstream"
	"github.com/rafflecast/rafflecast/services/test/pgtest"
	"github.com/rafflecast/rafflecast/services/test/testenv"
)

// production is the directory of production's manifests.
const production = "../../../deploy/kubernetes/overlays/production"

// cluster is three NATS servers with the configuration of production.
type cluster struct {
	servers []*server.Server
	ca      string // path of its certificate
}

// startCluster starts the servers. Of their configuration it replaces only what
// depends on the machine: addresses, paths and environment variables.
func startCluster(t *testing.T) *cluster {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(production, "nats.conf"))
	if err != nil {
		t.Fatal(err)
	}
	routes := testenv.FreeAddresses(t, 3)
	tls := testenv.NewAuthority(t).Dir()
	c := &cluster{ca: filepath.Join(tls, "ca.crt")}
	for i := range 3 {
		c.servers = append(c.servers, startServer(t, replaceAll(t, string(text), map[string]string{
			"$POD_NAME": fmt.Sprint("nats-", i), "$PARTICIPATION_PASSWORD": "first", "$GATEWAY_PASSWORD": "second",
			"/etc/nats/tls": tls, "/data": t.TempDir(), "port: 4222": "host: 127.0.0.1, port: -1",
			"http: 8222": "", "port: 6222": "listen: " + routes[i],
			"$ROUTE_0": "nats-route://" + routes[0],
			"$ROUTE_1": "nats-route://" + routes[1],
			"$ROUTE_2": "nats-route://" + routes[2],
		})))
	}
	for _, s := range c.servers {
		if !s.ReadyForConnections(20 * time.Second) {
			t.Fatal("a NATS server did not start within 20 s")
		}
	}
	return c
}

func replaceAll(t *testing.T, text string, by map[string]string) string {
	t.Helper()
	for from, to := range by {
		if !strings.Contains(text, from) {
			t.Fatalf("nats.conf has no %s", from)
		}
		text = strings.ReplaceAll(text, from, to)
	}
	return text
}

func startServer(t *testing.T, conf string) *server.Server {
	t.Helper()
	path := filepath.Join(t.TempDir(), "nats.conf")
	if err := os.WriteFile(path, []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	options, err := server.ProcessConfigFile(path)
	if err != nil {
		t.Fatal(err)
	}
	options.NoSigs, options.NoLog = true, true
	s, err := server.NewServer(options)
	if err != nil {
		t.Fatal(err)
	}
	go s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	return s
}

// url returns the URLs of the servers for a user, in the form of production's secret.
func (c *cluster) url(user, password string) string {
	var urls []string
	for _, s := range c.servers {
		urls = append(
			urls,
			(&url.URL{Scheme: "tls", User: url.UserPassword(user, password), Host: s.Addr().String()}).String(),
		)
	}
	return strings.Join(urls, ",")
}

func TestServices_RunOnTheNATSOfProduction(t *testing.T) {
	t.Parallel()
	nats, database := startCluster(t), pgtest.URL(t)
	if err := launch(t, "participation", "migrate", "--database-url="+database).awaitEnd(); err != nil {
		t.Fatal(err)
	}
	startParticipation := func() (*program, *client) {
		p := launch(
			t,
			"participation",
			"serve",
			"--database-url="+database,
			"--nats-url="+nats.url("participation", "first"),
			"--nats-ca="+nats.ca,
			"--stream-replicas=3",
			"--grpc-address="+anyPort,
			"--http-address="+anyPort,
			"--ops-address="+anyPort,
		)
		return p, dial(t, p.awaitLog(`participation is serving.* grpc=(\S+)`)[1])
	}
	first, c := startParticipation()
	id := c.create(t, "Signed guitar", 1)
	awaitMessages(t, nats, 1) // otherwise only the newest version is published
	c.enter(t, id, "1")
	awaitMessages(t, nats, 2)
	// A new instance does not know the raffle's last message, and asks the stream for it.
	second, c := startParticipation()
	c.enter(t, id, "2")
	awaitMessages(t, nats, 3)

	// A gateway that starts now asks the stream for what its clients missed.
	gateway := launch(
		t,
		"gateway",
		"serve",
		"--nats-url="+nats.url("gateway", "second"),
		"--nats-ca="+nats.ca,
		"--nats-api-prefix="+apiPrefix(t),
		"--address="+anyPort,
		"--ops-address="+anyPort,
		"--drain-window=0s",
	)
	web, ops := awaitGateway(t, gateway)
	raffle := fmt.Sprintf("%s/api/v1/raffles/%d", web, id)
	events := subscribe(t, fmt.Sprintf("%s/subscribe?lastEventId=%d:%s:1", raffle, id, getOdds(t, raffle+"/odds").Epoch))
	for _, entries := range []int64{1, 2} {
		if got := events.nextOdds(); got.Entries != entries {
			t.Errorf("of what was missed: %+v, want %d entries", got, entries)
		}
	}
	c.enter(t, id, "3")
	if got := events.nextOdds(); got.Entries != 3 {
		t.Errorf("live: %+v", got)
	}
	checkAutoscalerMetric(t, ops+"/metrics")
	for _, p := range []*program{first, second, gateway} {
		if log := p.log(); strings.Contains(strings.ToLower(log), "permissions violation") {
			t.Errorf("%s asks NATS for more than it may:\n%s", p.cmd.Path, log)
		}
	}
}

// awaitMessages waits until the stream, with its three replicas, has a number of
// messages.
func awaitMessages(t *testing.T, c *cluster, messages uint64) {
	t.Helper()
	js, err := jetstream.New(connectAs(t, c, "participation", "first", nil))
	if err != nil {
		t.Fatal(err)
	}
	var info *jetstream.StreamInfo
	testenv.Eventually(t, fmt.Sprintf("the stream has %d messages", messages), 20*time.Second, func() bool {
		stream, err := js.Stream(t.Context(), oddsstream.Name)
		if err != nil {
			return false
		}
		info = stream.CachedInfo()
		return info.State.Msgs >= messages
	})
	if info.Config.Replicas != 3 || len(info.Cluster.Replicas) != 2 {
		t.Errorf("not on three servers: %+v", info.Cluster)
	}
}

// apiPrefix returns NATS_API_PREFIX of production's gateways.
func apiPrefix(t *testing.T) string {
	t.Helper()
	manifest, err := os.ReadFile(filepath.Join(production, "gateway.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	value := regexp.MustCompile(`NATS_API_PREFIX, value: ([a-z.]+)}`).FindSubmatch(manifest)
	if value == nil {
		t.Fatal("gateway.yaml has no NATS_API_PREFIX")
	}
	return string(value[1])
}

// checkAutoscalerMetric checks that the gateway reports the metric by which the
// manifests scale it.
func checkAutoscalerMetric(t *testing.T, metrics string) {
	t.Helper()
	manifest, err := os.ReadFile(filepath.Join(production, "autoscaler.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	name := regexp.MustCompile(`metric: {name: (\w+)}`).FindSubmatch(manifest)
	resp, err := http.Get(metrics)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || name == nil || !strings.Contains(string(body), "\n"+string(name[1])+" ") {
		t.Errorf("the autoscaler's metric %s is not among the gateway's: %v", name, err)
	}
}

// connectAs connects as a user. failed, if not nil, is called with the connection's
// asynchronous errors.
func connectAs(t *testing.T, c *cluster, user, password string, failed func(error)) *nats.Conn {
	t.Helper()
	nc, err := nats.Connect(
		c.url(user, password),
		nats.RootCAs(c.ca),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			if failed != nil {
				failed(err)
			}
		}),
	)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}
