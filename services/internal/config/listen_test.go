//go:build linux

package config

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/rafflecast/rafflecast/services/internal/socket"
)

func TestListen_DisconnectsClientsThatVanish(t *testing.T) {
	t.Parallel()
	const patience = 7 * time.Minute
	l, err := Listen(t.Context(), "--address", "127.0.0.1:0", patience)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	client, err := (&net.Dialer{}).DialContext(context.WithoutCancel(t.Context()), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	server, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	raw, err := server.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if d, err := socket.UserTimeout(raw); err != nil || d != patience {
		t.Errorf("data may stay unacknowledged for %v, want %v: %v", d, patience, err)
	}
}
