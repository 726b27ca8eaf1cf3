// Package natsconn connects services to NATS.
package natsconn

import (
	"errors"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"
)

// Connect starts to connect to the servers of url, separated by commas, and goes
// on trying for as long as it takes: it returns before there is a connection,
// and fails only where url can't be one. Publishing while there is no connection
// fails at once instead of being kept. options come after ours.
func Connect(url, name string, log *slog.Logger, options ...nats.Option) (*nats.Conn, error) {
	nc, err := nats.Connect(url, append([]nats.Option{
		nats.Name(name),
		nats.RetryOnFailedConnect(true),
		nats.MaxReconnects(-1),
		nats.ReconnectWait(500 * time.Millisecond),
		nats.ReconnectJitter(250*time.Millisecond, 500*time.Millisecond),
		nats.ReconnectBufSize(-1),
		nats.DisconnectErrHandler(func(c *nats.Conn, err error) {
			if !c.IsClosed() { // else it was us
				log.Warn("NATS is away", "error", err)
			}
		}),
		nats.ReconnectHandler(func(c *nats.Conn) { log.Info("NATS is back", "server", c.ConnectedUrlRedacted()) }),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { log.Warn("NATS", "error", err) }),
	}, options...)...)
	if err != nil {
		// The cause quotes the URL, which may hold a password.
		return nil, errors.New("the NATS URL can't be used: it must be nats://[user:password@]host:port, several separated by commas")
	}
	return nc, nil
}
