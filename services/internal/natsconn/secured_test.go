package natsconn_test

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"github.com/rafflecast/rafflecast/services/internal/natsconn"
	"github.com/rafflecast/rafflecast/services/test/natstest"
	"github.com/rafflecast/rafflecast/services/test/testenv"
)

// connect returns a connection, and a channel that is closed once it is made.
func connect(t *testing.T, servers natsconn.Servers, options ...nats.Option) (*nats.Conn, <-chan struct{}) {
	t.Helper()
	made := make(chan struct{})
	nc, err := natsconn.Connect(servers, "test", slog.New(slog.NewTextHandler(t.Output(), nil)),
		append(options, nats.ReconnectWait(10*time.Millisecond), nats.ReconnectJitter(0, 0),
			nats.ConnectHandler(func(*nats.Conn) { close(made) }))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc, made
}

func within(t *testing.T, what string, event <-chan struct{}) {
	t.Helper()
	select {
	case <-event:
	case <-time.After(20 * time.Second):
		t.Fatal(what + " did not come")
	}
}

func TestTheCAIsTrustedAndNoOther(t *testing.T) {
	t.Parallel()
	mine, other := testenv.NewAuthority(t), testenv.NewAuthority(t)
	s := natstest.StartWith(t, func(o *server.Options) {
		o.TLS, o.TLSConfig = true, mine.ServerTLS()
		o.Users = []*server.User{{Username: "gateway", Password: "right"}}
	})
	url := strings.Replace(s.URL(), "://", "://gateway:right@", 1)
	nc, made := connect(t, natsconn.Servers{URL: url, CA: mine.File()})
	within(t, "the connection", made)
	if state, err := nc.TLSConnectionState(); err != nil || !state.HandshakeComplete {
		t.Errorf("not over TLS: %v", err)
	}
	for what, servers := range map[string]natsconn.Servers{
		"another CA": {URL: url, CA: other.File()}, "the system's CAs": {URL: url},
	} {
		if nc, err := natsconn.Connect(servers, "test", slog.New(slog.DiscardHandler), nats.RetryOnFailedConnect(false)); err == nil {
			nc.Close()
			t.Errorf("connected with %s", what)
		}
	}
}

func TestNoTLSWhereACAIsGivenIsRefused(t *testing.T) {
	t.Parallel()
	servers := natsconn.Servers{URL: natstest.Start(t).URL(), CA: testenv.NewAuthority(t).File()}
	if nc, err := natsconn.Connect(servers, "test", slog.New(slog.DiscardHandler), nats.RetryOnFailedConnect(false)); err == nil {
		nc.Close()
		t.Error("connected in the clear")
	}
}

// While a password is rotated, the servers and a service may have different ones
// for a while: the service must not give up.
func TestARefusedPasswordIsTriedAgain(t *testing.T) {
	t.Parallel()
	password := "right"
	s := natstest.StartWith(t, func(o *server.Options) {
		o.Users = []*server.User{{Username: "gateway", Password: password}}
	})
	refused, back := make(chan struct{}, 100), make(chan struct{}, 100)
	_, made := connect(t, natsconn.Servers{URL: strings.Replace(s.URL(), "://", "://gateway:right@", 1)},
		nats.ReconnectHandler(func(*nats.Conn) { back <- struct{}{} }),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			if errors.Is(err, nats.ErrAuthorization) {
				refused <- struct{}{}
			}
		}))
	within(t, "the connection", made)
	s.Stop()
	password = "another"
	s.Start()
	for range 3 { // the client library gives up at the second, unless told otherwise
		within(t, "a refusal", refused)
	}
	s.Stop()
	password = "right"
	s.Start()
	within(t, "the connection", back)
}

func TestWhyThereIsNoConnectionIsLoggedOnce(t *testing.T) {
	t.Parallel()
	s := natstest.StartWith(t, func(o *server.Options) {
		o.Users = []*server.User{{Username: "gateway", Password: "right"}}
	})
	logged, tried := &lines{}, make(chan struct{}, 100)
	log := slog.New(slog.NewTextHandler(logged, nil))
	nc, err := natsconn.Connect(natsconn.Servers{URL: strings.Replace(s.URL(), "://", "://gateway:wrong@", 1)}, "test", log,
		nats.ReconnectWait(time.Millisecond), nats.ReconnectJitter(0, 0),
		nats.CustomReconnectDelay(func(int) time.Duration { tried <- struct{}{}; return time.Millisecond }))
	if err != nil {
		t.Fatal(err)
	}
	for range 5 {
		within(t, "another attempt", tried)
	}
	s.Stop()
	for range 5 {
		within(t, "another attempt", tried)
	}
	nc.Close()
	got := logged.take()
	if strings.Count(got, "Authorization Violation") != 1 || strings.Count(got, "refused") != 1 || strings.Contains(got, "wrong") {
		t.Errorf("got\n%s", got)
	}
}

// lines keeps what is written to it. Safe for concurrent use.
type lines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) take() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// decentral makes a server whose accounts come from an operator, and the
// credentials of a user of it.
func decentral(t *testing.T) (s *natstest.Server, credentials string) {
	t.Helper()
	operator, _ := nkeys.CreateOperator()
	account, _ := nkeys.CreateAccount()
	user, _ := nkeys.CreateUser()
	public := func(k nkeys.KeyPair) string { id, _ := k.PublicKey(); return id }
	sign := func(claims jwt.Claims, by nkeys.KeyPair) string {
		token, err := claims.Encode(by)
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	accountJWT := sign(jwt.NewAccountClaims(public(account)), operator)
	claims := jwt.NewOperatorClaims(public(operator))
	sign(claims, operator) // fills in who issued it
	accounts := &server.MemAccResolver{}
	if err := accounts.Store(public(account), accountJWT); err != nil {
		t.Fatal(err)
	}
	s = natstest.StartWith(t, func(o *server.Options) {
		o.JetStream = false // needs a system account here
		o.TrustedOperators, o.AccountResolver = []*jwt.OperatorClaims{claims}, accounts
	})
	seed, _ := user.Seed()
	text, err := jwt.FormatUserConfig(sign(jwt.NewUserClaims(public(user)), account), seed)
	if err != nil {
		t.Fatal(err)
	}
	return s, file(t, string(text))
}

func file(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestCredentialsOpenTheDoor(t *testing.T) {
	t.Parallel()
	s, credentials := decentral(t)
	_, made := connect(t, natsconn.Servers{URL: s.URL(), Credentials: credentials})
	within(t, "the connection", made)
	if nc, err := natsconn.Connect(natsconn.Servers{URL: s.URL()}, "test", slog.New(slog.DiscardHandler), nats.RetryOnFailedConnect(false)); err == nil {
		nc.Close()
		t.Error("connected without")
	}
}

func TestBadFilesAreNamed(t *testing.T) {
	t.Parallel()
	empty, absent := file(t, "user secret"), filepath.Join(t.TempDir(), "absent")
	for _, servers := range []natsconn.Servers{{CA: empty}, {CA: absent}, {Credentials: empty}, {Credentials: absent}} {
		servers.URL = "nats://127.0.0.1:1"
		_, err := natsconn.Connect(servers, "test", slog.New(slog.DiscardHandler))
		if err == nil || !strings.Contains(err.Error(), servers.CA+servers.Credentials) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%+v: got %v", servers, err)
		}
	}
}
