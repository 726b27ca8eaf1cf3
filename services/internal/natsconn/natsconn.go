// Package natsconn connects services to NATS.
package natsconn

import (
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"golang.org/x/time/rate"
)

// Servers holds the URLs, CA and credentials of a NATS cluster.
type Servers struct {
	// URL holds the servers' URLs, separated by commas.
	URL string
	// CA is a PEM file with the CA that signed the servers' certificates. If it is
	// set, TLS is required. If not, the system's CAs are trusted, and TLS is used
	// only if a server asks for it.
	CA string
	// Credentials is a .creds file with a user's JWT and key. If it is empty, the
	// user is the one of the URL, if any.
	Credentials string
}

// Callbacks are called when something happens to a connection, after it was
// logged. Each may be nil. They are called one after another from a goroutine of
// the connection, and must not block.
type Callbacks struct {
	OnConnect   func()      // the first connection was made
	OnReconnect func()      // a connection was lost and another one made
	OnError     func(error) // something failed that no call reports, as nats.ErrSlowConsumer
}

// A server that has not answered maxPings pings, pingInterval apart, is left for
// another one. Servers that hang, and networks that drop packets, close no
// connection.
const (
	pingInterval = time.Second
	maxPings     = 2
)

// Connect starts to connect to the servers and returns before there is a
// connection. It keeps trying for as long as it takes, even if the servers refuse
// the credentials, and reads the files again for each attempt. It fails only if
// the settings cannot be right. While there is no connection, publishing fails at
// once; nothing is buffered. The caller closes the connection.
func Connect(servers Servers, name string, log *slog.Logger, callbacks Callbacks) (*nats.Conn, error) {
	return connect(servers, name, log, callbacks)
}

// connect is Connect with further options, for tests.
func connect(
	servers Servers, name string, log *slog.Logger, callbacks Callbacks, further ...nats.Option,
) (*nats.Conn, error) {
	if err := errors.Join(CheckCA(servers.CA), CheckCredentials(servers.Credentials)); err != nil {
		return nil, err
	}
	limited := &rateLimitedLogger{log: log}
	options := []nats.Option{
		nats.Name(name),
		nats.RetryOnFailedConnect(true),
		nats.MaxReconnects(-1),
		nats.IgnoreAuthErrorAbort(), // a rotated password may reach the servers later than us
		nats.ReconnectWait(500 * time.Millisecond),
		nats.ReconnectJitter(250*time.Millisecond, 500*time.Millisecond),
		nats.ReconnectBufSize(-1),
		nats.PingInterval(pingInterval),
		nats.MaxPingsOutstanding(maxPings),
		nats.ReconnectErrHandler(func(_ *nats.Conn, err error) {
			limited.warn("NATS cannot be reached; retrying", err)
		}),
		nats.DisconnectErrHandler(func(c *nats.Conn, err error) {
			if !c.IsClosed() { // else we closed it ourselves
				log.Warn("NATS is unavailable", "error", err)
			}
		}),
		nats.ConnectHandler(func(*nats.Conn) { call(callbacks.OnConnect) }),
		nats.ReconnectHandler(func(c *nats.Conn) {
			log.Info("NATS is available again", "server", c.ConnectedUrlRedacted())
			call(callbacks.OnReconnect)
		}),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			limited.warn("NATS reports an error", err)
			if callbacks.OnError != nil {
				callbacks.OnError(err)
			}
		}),
	}
	if servers.CA != "" {
		options = append(options, nats.RootCAs(servers.CA))
	}
	if servers.Credentials != "" {
		options = append(options, nats.UserCredentials(servers.Credentials))
	}
	nc, err := nats.Connect(servers.URL, append(options, further...)...)
	if err != nil {
		// The cause quotes the URL, which may hold a password.
		return nil, errors.New("the NATS URL cannot be used: it must be nats://[user:password@]host:port, " +
			"several separated by commas")
	}
	return nc, nil
}

func call(f func()) {
	if f != nil {
		f()
	}
}

// maxReasons bounds the memory for reasons, some of which contain a port.
const maxReasons = 16

// logInterval is the least time between two lines for the same reason.
const logInterval = time.Minute

// rateLimitedLogger logs a new reason at once, and the same reason at most once a
// minute, however often it recurs. It is safe for concurrent use.
type rateLimitedLogger struct {
	log     *slog.Logger
	mu      sync.Mutex
	reasons map[string]*rate.Sometimes
}

func (l *rateLimitedLogger) warn(message string, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	reason := message + err.Error()
	if l.reasons == nil || l.reasons[reason] == nil && len(l.reasons) == maxReasons {
		l.reasons = make(map[string]*rate.Sometimes)
	}
	if l.reasons[reason] == nil {
		l.reasons[reason] = &rate.Sometimes{Interval: logInterval}
	}
	l.reasons[reason].Do(func() { l.log.Warn(message, "error", err) })
}
