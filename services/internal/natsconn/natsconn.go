// Package natsconn connects services to NATS.
package natsconn

import (
	"errors"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"
)

// Servers are where NATS is, and what opens its door.
type Servers struct {
	URL         string // of the servers, separated by commas
	CA          string // PEM file of who signs their certificates; empty: the system's, and TLS only where they ask for it
	Credentials string // file with a user's JWT and key (.creds); empty: what the URL says
}

// Connect starts to connect to the servers, and goes on trying for as long as it
// takes, also where they refuse the credentials: it returns before there is a
// connection, and fails only where the settings can't be right. The files are
// read again for each connection. Publishing while there is none fails at once
// instead of being kept. options come after ours.
func Connect(servers Servers, name string, log *slog.Logger, options ...nats.Option) (*nats.Conn, error) {
	if err := errors.Join(CheckCA(servers.CA), CheckCredentials(servers.Credentials)); err != nil {
		return nil, err
	}
	ours := []nats.Option{
		nats.Name(name),
		nats.RetryOnFailedConnect(true),
		nats.MaxReconnects(-1),
		nats.IgnoreAuthErrorAbort(), // a rotated password may reach the servers later than us
		nats.ReconnectWait(500 * time.Millisecond),
		nats.ReconnectJitter(250*time.Millisecond, 500*time.Millisecond),
		nats.ReconnectBufSize(-1),
		nats.ReconnectErrHandler(logNowAndThen(log)),
		nats.DisconnectErrHandler(func(c *nats.Conn, err error) {
			if !c.IsClosed() { // else it was us
				log.Warn("NATS is away", "error", err)
			}
		}),
		nats.ReconnectHandler(func(c *nats.Conn) { log.Info("NATS is back", "server", c.ConnectedUrlRedacted()) }),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { log.Warn("NATS", "error", err) }),
	}
	if servers.CA != "" {
		ours = append(ours, nats.RootCAs(servers.CA))
	}
	if servers.Credentials != "" {
		ours = append(ours, nats.UserCredentials(servers.Credentials))
	}
	nc, err := nats.Connect(servers.URL, append(ours, options...)...)
	if err != nil {
		// The cause quotes the URL, which may hold a password.
		return nil, errors.New("the NATS URL can't be used: it must be nats://[user:password@]host:port, several separated by commas")
	}
	return nc, nil
}

// maxReasons bounds the memory for reasons, some of which have a port in them.
const maxReasons = 16

// tellInterval is the least time between two lines for the same reason.
const tellInterval = time.Minute

// logNowAndThen returns a handler that logs why connections fail, at once for what
// is new, and not at each of the many attempts. NATS calls it from one goroutine.
func logNowAndThen(log *slog.Logger) nats.ConnErrHandler {
	told := make(map[string]time.Time)
	return func(_ *nats.Conn, err error) {
		reason := err.Error()
		if last, ok := told[reason]; ok && time.Since(last) < tellInterval {
			return
		}
		if len(told) == maxReasons {
			clear(told)
		}
		told[reason] = time.Now()
		log.Warn("NATS can't be reached: will try again", "error", err)
	}
}
