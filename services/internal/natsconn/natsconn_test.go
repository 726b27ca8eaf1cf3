package natsconn_test

import (
	"log/slog"
	"strings"
	"testing"

	"github.com/rafflecast/rafflecast/services/internal/natsconn"
)

func TestConnect_DoesNotWaitForServer(t *testing.T) {
	t.Parallel()
	nc, err := natsconn.Connect(natsconn.Servers{URL: "nats://127.0.0.1:1"}, "test", slog.New(slog.DiscardHandler), natsconn.Callbacks{})
	if err != nil {
		t.Fatal(err)
	}
	nc.Close()
}

func TestConnect_InvalidURLIsReportedWithoutPassword(t *testing.T) {
	t.Parallel()
	_, err := natsconn.Connect(natsconn.Servers{URL: "nats://me:secret@[::1"}, "test", slog.New(slog.DiscardHandler), natsconn.Callbacks{})
	if err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("got %v", err)
	}
}
