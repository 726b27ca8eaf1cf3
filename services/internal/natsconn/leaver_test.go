package natsconn_test

import (
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/rafflecast/rafflecast/services/internal/natsconn"
	"github.com/rafflecast/rafflecast/services/test/natstest"
)

func TestLeaver_LeavesAServerAfterItsPatience(t *testing.T) {
	t.Parallel()
	server, reconnected := natstest.Start(t), make(chan struct{}, 10)
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	nc, err := natsconn.Connect(natsconn.Servers{URL: server.URL()}, "test", log, natsconn.Callbacks{
		OnReconnect: func() { reconnected <- struct{}{} },
	})
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if err := nc.FlushTimeout(10 * time.Second); err != nil {
		t.Fatal(err)
	}
	failed := errors.New("no answer")
	patient := natsconn.NewLeaver(nc, time.Hour, log)
	patient.Failed(failed)
	patient.Failed(failed)
	if nc.Status() != nats.CONNECTED || nc.Stats().Reconnects != 0 {
		t.Error("it left the server before its patience ended")
	}
	natsconn.NewLeaver(nc, 0, log).Failed(failed)
	select {
	case <-reconnected:
	case <-time.After(20 * time.Second):
		t.Error("it did not leave the server")
	}
}
