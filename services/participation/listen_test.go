package participation_test

import (
	"log/slog"
	"testing"

	"github.com/rafflecast/rafflecast/services/participation"
	"github.com/rafflecast/rafflecast/services/test/natstest"
	"github.com/rafflecast/rafflecast/services/test/pgtest"
)

func TestRun_ServesOnGivenListeners(t *testing.T) {
	t.Parallel()
	b := &bundle{nats: natstest.Start(t), cfg: participation.DefaultConfig()}
	cfg := &b.cfg
	cfg.GRPCAddress, cfg.HTTPAddress, cfg.OpsAddress = "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"
	l, err := participation.Listen(t.Context(), &cfg.Settings, "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	// This machine does not have this address.
	cfg.GRPCAddress, cfg.HTTPAddress, cfg.OpsAddress = "203.0.113.1:1", "203.0.113.1:1", "203.0.113.1:1"
	cfg.DatabaseURL, cfg.NATSURL, cfg.Migrate = pgtest.URL(t), b.nats.URL(), true
	cfg.Log, cfg.Listeners = slog.New(slog.NewTextHandler(t.Output(), nil)), l
	b.start(t)
}
