package gateway

import (
	"context"
	"errors"
	"net"

	"github.com/rafflecast/rafflecast/services/internal/config"
)

// Listeners are the open ports of the service.
type Listeners struct{ http, ops net.Listener }

// Listen opens the addresses of the settings. An error names the flag that changes an
// address, with prefix before its name.
//
// A stream's client may leave its data unread for the write timeout, which goes by bytes.
// The kernel goes by whole segments: while a slow client takes bytes of one, its time runs
// on. So the kernel has four times as much.
func Listen(ctx context.Context, s *Settings, prefix string) (*Listeners, error) {
	var l Listeners
	var errHTTP, errOps error
	l.http, errHTTP = config.Listen(ctx, "--"+prefix+"address", s.Address, 4*s.WriteTimeout)
	l.ops, errOps = config.Listen(ctx, "--"+prefix+"ops-address", s.OpsAddress, config.ClientPatience)
	if err := errors.Join(errHTTP, errOps); err != nil {
		l.Close()
		return nil, err
	}
	return &l, nil
}

// listen returns the listeners to serve on.
func listen(ctx context.Context, cfg *Config) (public, private net.Listener, err error) {
	l := cfg.Listeners
	if l == nil {
		if l, err = Listen(ctx, &cfg.Settings, ""); err != nil {
			return nil, nil, err
		}
	}
	return l.http, l.ops, nil
}

// Close closes the ports. It does no harm if a server has closed them before.
func (l *Listeners) Close() {
	for _, listener := range []net.Listener{l.http, l.ops} {
		if listener != nil {
			_ = listener.Close()
		}
	}
}
