package natsconn

import (
	"log/slog"
	"strings"
	"testing"
)

func TestConnectDoesNotWaitForAServer(t *testing.T) {
	t.Parallel()
	nc, err := Connect("nats://127.0.0.1:1", "test", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	nc.Close()
}

func TestAURLThatCannotBeUsedIsToldWithoutItsPassword(t *testing.T) {
	t.Parallel()
	_, err := Connect("nats://me:secret@[::1", "test", slog.New(slog.DiscardHandler))
	if err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("got %v", err)
	}
}
