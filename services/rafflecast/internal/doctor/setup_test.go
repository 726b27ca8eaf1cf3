package doctor

import (
	"context"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
	"github.com/rafflecast/rafflecast/services/gateway"
	"github.com/rafflecast/rafflecast/services/internal/oddsstream"
	"github.com/rafflecast/rafflecast/services/test/natstest"
	"github.com/rafflecast/rafflecast/services/test/testenv"
)

// heartbeat is longer than the limits that the proxies are given.
const heartbeat = 4 * time.Second

// world is a running gateway with raffle 1.
type world struct {
	addr string // of the gateway
}

func setup(t *testing.T) *world {
	t.Helper()
	return setupState(t, rafflev1.Raffle_OPEN)
}

func setupState(t *testing.T, state rafflev1.Raffle_State) *world {
	t.Helper()
	nats := natstest.Start(t)
	publish(t, nats, state)
	cfg := gateway.DefaultConfig()
	cfg.Address, cfg.OpsAddress, cfg.NATSURL = "127.0.0.1:0", "127.0.0.1:0", nats.URL()
	cfg.Heartbeat, cfg.DrainWindow = heartbeat, 0
	cfg.Log = slog.New(slog.NewTextHandler(t.Output(), nil))
	started := make(chan gateway.Addresses, 1)
	cfg.Started = func(a gateway.Addresses) { started <- a }
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- gateway.Run(ctx, cfg) }()
	at := <-started
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	testenv.AwaitStatus(t, "http://"+at.Ops.String()+"/readyz", http.StatusOK)
	return &world{addr: at.HTTP.String()}
}

// publish makes the stream, with version 1 of raffle 1.
func publish(t *testing.T, nats *natstest.Server, state rafflev1.Raffle_State) {
	t.Helper()
	if _, err := nats.JetStream().CreateStream(t.Context(), oddsstream.Config(1)); err != nil {
		t.Fatal(err)
	}
	data, err := proto.Marshal(&rafflev1.Odds{Id: 1, Version: 1, State: state, Entries: 1, Winners: 1})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := nats.JetStream().Publish(t.Context(), oddsstream.Subject(1), data); err != nil {
		t.Fatal(err)
	}
}

// front starts a proxy with a configuration of testdata. It returns the address
// of each port that has a name there.
func front(t *testing.T, program, file string, replace *strings.Replacer, args func(file, dir string) []string) map[string]string {
	t.Helper()
	found := testenv.NeedProgram(t, program)
	text, err := os.ReadFile(filepath.Join("testdata", file))
	if err != nil {
		t.Fatal(err)
	}
	dir, addresses := testenv.NewAuthority(t).Dir(), map[string]string{}
	settings := strings.ReplaceAll(replace.Replace(string(text)), "DIR", dir)
	for _, name := range regexp.MustCompile(`@(\w+)@`).FindAllStringSubmatch(settings, -1) {
		addresses[name[1]] = testenv.FreeAddress(t)
		settings = strings.ReplaceAll(settings, "127.0.0.1:"+name[0], addresses[name[1]])
	}
	file = filepath.Join(dir, file)
	if err := os.WriteFile(file, []byte(settings), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(found, args(file, dir)...)
	cmd.Stderr = t.Output()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		cmd.Wait()
	})
	testenv.AwaitStatus(t, "http://"+addresses["good"]+"/api/v1/raffles", http.StatusOK)
	return addresses
}

// settingsFor returns what a user would say, but for times that a test can wait
// for.
func settingsFor(url string) Config {
	cfg := DefaultConfig()
	cfg.URL, cfg.Watch, cfg.Heartbeat, cfg.Insecure = url, 8*time.Second, heartbeat, true
	cfg.slack, cfg.patience = 15*time.Second, 30*time.Second // the machine may be busy
	return cfg
}
