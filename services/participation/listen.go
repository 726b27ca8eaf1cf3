package participation

import (
	"context"
	"errors"
	"net"

	"github.com/rafflecast/rafflecast/services/internal/config"
)

// Listeners are the open ports of the service.
type Listeners struct{ grpc, http, ops net.Listener }

// Listen opens the addresses of the settings. An error names the flag that changes an
// address, with prefix before its name.
func Listen(ctx context.Context, s *Settings, prefix string) (*Listeners, error) {
	var l Listeners
	var errs [3]error
	l.grpc, errs[0] = config.Listen(ctx, "--"+prefix+"grpc-address", s.GRPCAddress, config.ClientPatience)
	l.http, errs[1] = config.Listen(ctx, "--"+prefix+"http-address", s.HTTPAddress, config.ClientPatience)
	l.ops, errs[2] = config.Listen(ctx, "--"+prefix+"ops-address", s.OpsAddress, config.ClientPatience)
	if err := errors.Join(errs[:]...); err != nil {
		l.Close()
		return nil, err
	}
	return &l, nil
}

// listen returns the listeners to serve on.
func listen(ctx context.Context, cfg *Config) (*Listeners, error) {
	if cfg.Listeners != nil {
		return cfg.Listeners, nil
	}
	return Listen(ctx, &cfg.Settings, "")
}

// Close closes the ports. It does no harm if a server has closed them before.
func (l *Listeners) Close() {
	for _, listener := range []net.Listener{l.grpc, l.http, l.ops} {
		if listener != nil {
			_ = listener.Close()
		}
	}
}

func (l *Listeners) addresses() Addresses {
	return Addresses{GRPC: l.grpc.Addr(), HTTP: l.http.Addr(), Ops: l.ops.Addr()}
}
