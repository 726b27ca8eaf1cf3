package config

import (
	"context"
	"errors"
	"fmt"
	"net"
	"syscall"
	"time"

	"github.com/rafflecast/rafflecast/services/internal/socket"
)

// userTimeout is how long a client may leave what it was sent unacknowledged, before
// its connection ends: it has vanished without closing it, as with its machine.
const userTimeout = 30 * time.Second

// Listen opens a TCP address. flag is the setting that holds it, as --address: the
// error names it, so that the reader knows what to change. A client that acknowledges
// nothing for half a minute is disconnected.
func Listen(ctx context.Context, flag, address string) (net.Listener, error) {
	// Every protocol of ours notices dead peers by itself; TCP's keepalive would
	// only cost four system calls for each connection.
	lc := net.ListenConfig{KeepAlive: -1, Control: func(_, _ string, c syscall.RawConn) error {
		return socket.SetUserTimeout(c, userTimeout)
	}}
	l, err := lc.Listen(ctx, "tcp", address)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("%s is taken by another process: stop that process, or choose another address with %s", address, flag)
	case err != nil:
		return nil, fmt.Errorf("listen (%s): %w", flag, err)
	}
	return l, nil
}
