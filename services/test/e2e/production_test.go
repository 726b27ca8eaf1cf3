package e2e_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
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

// production is where the manifests for production are.
const production = "../../../deploy/kubernetes/overlays/production"

// cluster is three NATS servers with the configuration of production.
type cluster struct {
	servers []*server.Server
	ca      string // file
}

// startCluster starts the servers. Of their configuration only what a machine of
// its own gives them is another here: addresses, paths, and the environment.
func startCluster(t *testing.T) *cluster {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(production, "nats.conf"))
	if err != nil {
		t.Fatal(err)
	}
	ports := freePorts(t, 3)
	tls := testenv.NewAuthority(t).Dir()
	c := &cluster{ca: filepath.Join(tls, "ca.crt")}
	for i := range 3 {
		c.servers = append(c.servers, startServer(t, replaceAll(t, string(text), map[string]string{
			"$POD_NAME": fmt.Sprint("nats-", i), "$PARTICIPATION_PASSWORD": "first", "$GATEWAY_PASSWORD": "second",
			"/etc/nats/tls": tls, "/data": t.TempDir(), "port: 4222": "host: 127.0.0.1, port: -1",
			"http: 8222": "", "port: 6222": fmt.Sprint("host: 127.0.0.1, port: ", ports[i]),
			"nats-0.nats.rafflecast.svc:6222": fmt.Sprint("127.0.0.1:", ports[0]),
			"nats-1.nats.rafflecast.svc:6222": fmt.Sprint("127.0.0.1:", ports[1]),
			"nats-2.nats.rafflecast.svc:6222": fmt.Sprint("127.0.0.1:", ports[2]),
		})))
	}
	for _, s := range c.servers {
		if !s.ReadyForConnections(20 * time.Second) {
			t.Fatal("a NATS server did not start")
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

// freePorts returns ports that were free a moment ago.
func freePorts(t *testing.T, n int) (ports []int) {
	t.Helper()
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports
}

// url returns the servers' URL for a user, as the secret in production has it.
func (c *cluster) url(user, password string) string {
	var urls []string
	for _, s := range c.servers {
		urls = append(urls, (&url.URL{Scheme: "tls", User: url.UserPassword(user, password), Host: s.Addr().String()}).String())
	}
	return strings.Join(urls, ",")
}

func TestBothServicesRunOnTheNATSOfProduction(t *testing.T) {
	t.Parallel()
	nats, database := startCluster(t), pgtest.URL(t)
	launch(t, "participation", "migrate", "--database-url="+database).await("up to date")
	participation := func() (*program, clients) {
		p := launch(t, "participation", "serve", "--database-url="+database, "--nats-url="+nats.url("participation", "first"),
			"--nats-ca="+nats.ca, "--stream-replicas=3",
			"--grpc-address=127.0.0.1:0", "--http-address=127.0.0.1:0", "--ops-address=127.0.0.1:0")
		return p, dial(t, p.await(`participation is serving.* grpc=(\S+)`)[1])
	}
	first, s := participation()
	system := &system{clients: s}
	id := system.create(t, "Signed guitar", 1)
	awaitMessages(t, nats, 1) // else the newest alone is published
	system.enter(t, id, "1")
	awaitMessages(t, nats, 2)
	// Another instance does not know the stream's end of this raffle: it asks.
	second, s := participation()
	system.clients = s
	system.enter(t, id, "2")
	awaitMessages(t, nats, 3)

	// A gateway that starts now asks the stream for what its clients missed.
	gateway := launch(t, "gateway", "serve", "--nats-url="+nats.url("gateway", "second"), "--nats-ca="+nats.ca, "--nats-api-prefix="+apiPrefix(t),
		"--address=127.0.0.1:0", "--ops-address=127.0.0.1:0", "--drain-window=0s")
	at := gateway.await(`gateway is serving.* http=(\S+) ops=(\S+)`)
	system.web = "http://" + at[1]
	gateway.await("took a snapshot")
	events := bufio.NewScanner(system.get(t, fmt.Sprintf("/api/v1/raffle/%d/subscribe?lastEventId=%d:1", id, id)).Body)
	for _, entries := range []int64{1, 2} {
		if got := nextOdds(t, events); got.Entries != entries {
			t.Errorf("of what was missed: %+v, want %d entries", got, entries)
		}
	}
	system.enter(t, id, "3")
	if got := nextOdds(t, events); got.Entries != 3 {
		t.Errorf("live: %+v", got)
	}
	hasTheAutoscalersMetric(t, "http://"+at[2]+"/metrics")
	for _, p := range []*program{first, second, gateway} {
		p.mu.Lock()
		if log := strings.Join(p.log, "\n"); strings.Contains(strings.ToLower(log), "permissions violation") {
			t.Errorf("%s asks NATS for more than it may:\n%s", p.cmd.Path, log)
		}
		p.mu.Unlock()
	}
}

// awaitMessages waits until the stream, with its three replicas, has so many.
func awaitMessages(t *testing.T, c *cluster, messages uint64) {
	t.Helper()
	js, err := jetstream.New(connectAs(t, c, "participation", "first", nil))
	if err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(20 * time.Second); ; { // each turn waits for the server's answer
		stream, err := js.Stream(t.Context(), oddsstream.Name)
		if err == nil && stream.CachedInfo().State.Msgs >= messages {
			if info := stream.CachedInfo(); info.Config.Replicas != 3 || len(info.Cluster.Replicas) != 2 {
				t.Errorf("not on three servers: %+v", info.Cluster)
			}
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the stream has no %d messages: %v", messages, err)
		}
	}
}

// apiPrefix returns what the gateways of production are told.
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

// hasTheAutoscalersMetric looks for what the manifests want to be measured.
func hasTheAutoscalersMetric(t *testing.T, metrics string) {
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

func connectAs(t *testing.T, c *cluster, user, password string, failed func(error)) *nats.Conn {
	t.Helper()
	nc, err := nats.Connect(c.url(user, password), nats.RootCAs(c.ca), nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
		if failed != nil {
			failed(err)
		}
	}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

func TestNATSUsersOfProductionMayDoNoMoreThanTheyNeed(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	for user, subjects := range map[string][]string{
		"gateway second": {
			"raffle.odds.1", "raffle.live.1", "$JS.API.STREAM.INFO.RAFFLE_ODDS", "$JS.API.STREAM.DELETE.RAFFLE_ODDS", "_INBOX.of.another",
		},
		"participation first": {"raffle.live.1", "$JS.API.STREAM.DELETE.RAFFLE_ODDS", "$JS.API.STREAM.PURGE.RAFFLE_ODDS", "$JS.API.STREAM.CREATE.OTHER"},
	} {
		name, password, _ := strings.Cut(user, " ")
		refused := make(chan error, len(subjects))
		nc := connectAs(t, c, name, password, func(err error) { refused <- err })
		for _, subject := range subjects {
			if err := nc.Publish(subject, nil); err != nil {
				t.Fatal(err)
			}
			awaitRefusal(t, refused, name+" publishes "+subject, subject)
		}
	}
	nc := connectAs(t, c, "gateway", "second", nil)
	// These it may ask for, but nobody answers: they are not imported.
	for _, subject := range []string{"STREAM.DELETE.RAFFLE_ODDS", "STREAM.PURGE.RAFFLE_ODDS", "STREAM.UPDATE.RAFFLE_ODDS", "STREAM.MSG.DELETE.RAFFLE_ODDS", "STREAM.NAMES"} {
		if _, err := nc.Request(apiPrefix(t)+"."+subject, nil, 10*time.Second); !errors.Is(err, nats.ErrNoResponders) {
			t.Errorf("%s: %v", subject, err)
		}
	}
	for _, subject := range []string{">", "raffle.>", "$JS.>", "raffle.odds.*"} {
		refused := make(chan error, 1)
		nc.SetErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { refused <- err })
		if _, err := nc.SubscribeSync(subject); err != nil {
			t.Fatal(err)
		}
		awaitRefusal(t, refused, "gateway subscribes to "+subject, subject)
	}
	for _, with := range []string{c.url("gateway", "first"), strings.ReplaceAll(c.url("gateway", "second"), "gateway:second@", "")} {
		if nc, err := nats.Connect(with, nats.RootCAs(c.ca)); err == nil {
			nc.Close()
			t.Errorf("connected as %s", with)
		}
	}
}

// The server does not ask whether a client may publish to where it wants its answer.
func TestAGatewayCannotHaveAnswersStored(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	js, err := jetstream.New(connectAs(t, c, "participation", "first", nil))
	if err != nil {
		t.Fatal(err)
	}
	var stream jetstream.Stream
	for deadline := time.Now().Add(20 * time.Second); ; { // until there is a leader
		if stream, err = js.CreateStream(t.Context(), oddsstream.Config(3)); err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
	nc := connectAs(t, c, "gateway", "second", nil)
	prefix := apiPrefix(t)
	ask := func(subject, reply string) {
		if err := nc.PublishRequest(subject, reply, nil); err != nil {
			t.Fatal(err)
		}
	}
	for range 40 {
		ask(prefix+".STREAM.INFO.RAFFLE_ODDS", oddsstream.Subject(1))
		ask(prefix+".DIRECT.GET.RAFFLE_ODDS", oddsstream.Subject(1))
		ask(prefix+".CONSUMER.DELETE.RAFFLE_ODDS.none", oddsstream.Subject(1))
	}
	// What comes after has its answer, so all before it have theirs.
	if _, err := nc.Request(prefix+".STREAM.INFO.RAFFLE_ODDS", nil, 10*time.Second); err != nil {
		t.Fatal(err)
	}
	info, err := stream.Info(t.Context())
	if err != nil || info.State.LastSeq != 0 {
		t.Errorf("%d answers were stored: %v", info.State.LastSeq, err)
	}
}

func awaitRefusal(t *testing.T, refused <-chan error, what, subject string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	select {
	case err := <-refused:
		if !strings.Contains(err.Error(), "Permissions Violation") || !strings.Contains(err.Error(), `"`+subject+`"`) {
			t.Errorf("%s: %v", what, err)
		}
	case <-ctx.Done():
		t.Errorf("%s, and may", what)
	}
}
