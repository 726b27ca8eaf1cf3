package config

import (
	"context"
	"errors"
	"fmt"
	"net"
	"syscall"
)

// Listen opens the TCP address of the setting with this name. Where the port is
// taken, the error names the address and the flag that changes it.
func (s Section) Listen(ctx context.Context, name, address string) (net.Listener, error) {
	// Every protocol of ours notices dead peers by itself; TCP's keepalive would
	// only cost four system calls for each connection.
	lc := net.ListenConfig{KeepAlive: -1}
	l, err := lc.Listen(ctx, "tcp", address)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("%s is taken by another process: stop that one, or choose another address with %s", address, s.Flag(name))
	case err != nil:
		return nil, fmt.Errorf("listen (%s): %w", s.Flag(name), err)
	}
	return l, nil
}
