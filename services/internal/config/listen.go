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

// ClientPatience is how long most ports bear with a client that has vanished without
// closing its connection, as with its machine: see Listen.
const ClientPatience = 30 * time.Second

// Listen opens a TCP address. flag is the setting that holds it, as --address: the
// error names it, so that the reader knows what to change. A connection whose client
// leaves what it was sent unacknowledged for patience ends, in the kernel, whoever serves
// it: no other place sets that.
func Listen(ctx context.Context, flag, address string, patience time.Duration) (net.Listener, error) {
	// Every protocol of ours notices dead peers by itself; TCP's keepalive would
	// only cost four system calls for each connection.
	lc := net.ListenConfig{KeepAlive: -1, Control: func(_, _ string, c syscall.RawConn) error {
		return socket.SetUserTimeout(c, patience)
	}}
	lc.SetMultipathTCP(false) // its sockets lack most options of TCP's
	l, err := lc.Listen(ctx, "tcp", address)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("%s is taken by another process: stop that process, or choose another address with %s", address, flag)
	case err != nil:
		return nil, fmt.Errorf("listen (%s): %w", flag, err)
	}
	return l, nil
}
