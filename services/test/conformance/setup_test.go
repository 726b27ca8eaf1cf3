package conformance

import (
	"context"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
	"github.com/rafflecast/rafflecast/services/gateway"
	"github.com/rafflecast/rafflecast/services/internal/oddsstream"
	"github.com/rafflecast/rafflecast/services/test/natstest"
	"github.com/rafflecast/rafflecast/services/test/testenv"
)

const (
	event     = "raffle-winning-probability"
	path      = "/api/v1/raffle/1/subscribe"
	heartbeat = 500 * time.Millisecond
)

// world is a running gateway with raffle 1.
type world struct {
	t    *testing.T
	nats *natstest.Server
	addr string // of the gateway
}

func setup(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, nats: natstest.Start(t)}
	if _, err := w.nats.JetStream().CreateStream(t.Context(), oddsstream.Config(1)); err != nil {
		t.Fatal(err)
	}
	w.publish(1)
	cfg := gateway.DefaultConfig()
	cfg.Address, cfg.OpsAddress, cfg.NATSURL = "127.0.0.1:0", "127.0.0.1:0", w.nats.URL()
	cfg.Heartbeat, cfg.RetryMin, cfg.RetryMax, cfg.DrainWindow = heartbeat, 100*time.Millisecond, 200*time.Millisecond, 0
	cfg.Log = slog.New(slog.NewTextHandler(t.Output(), nil))
	started := make(chan gateway.Addresses, 1)
	cfg.Started = func(a gateway.Addresses) { started <- a }
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- gateway.Run(ctx, cfg) }()
	at := <-started
	w.addr = at.HTTP.String()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	testenv.AwaitStatus(t, "http://"+at.Ops.String()+"/readyz", http.StatusOK)
	return w
}

func (w *world) publish(version int64) {
	w.t.Helper()
	w.publishState(version, rafflev1.Raffle_OPEN)
}

func (w *world) publishState(version int64, state rafflev1.Raffle_State) {
	w.t.Helper()
	data, err := proto.Marshal(&rafflev1.Odds{
		Id: 1, Version: version, State: state, Title: "Gitarre, signiert: 기타 \n</script>\u2028", Entries: version, Winners: 1,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := w.nats.JetStream().Publish(w.t.Context(), oddsstream.Subject(1), data); err != nil {
		w.t.Fatal(err)
	}
}

// scratch returns a directory that stays between runs, at the top of the
// repository, where git does not look.
func scratch(t *testing.T, name string) string {
	t.Helper()
	top, err := filepath.Abs("../../..")
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(top, ".build", name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}
