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

// connect connects with short waits between attempts, and returns the connection
// and a channel that is closed once it is made.
func connect(t *testing.T, servers natsconn.Servers, callbacks natsconn.Callbacks) (*nats.Conn, <-chan struct{}) {
	t.Helper()
	made := make(chan struct{})
	callbacks.OnConnect = func() { close(made) }
	nc, err := natsconn.ConnectWith(servers, "test", slog.New(slog.NewTextHandler(t.Output(), nil)), callbacks,
		nats.ReconnectWait(10*time.Millisecond), nats.ReconnectJitter(0, 0))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc, made
}

// refuses fails the test if the servers can be connected to.
func refuses(t *testing.T, servers natsconn.Servers, what string) {
	t.Helper()
	nc, err := natsconn.ConnectWith(servers, "test", slog.New(slog.DiscardHandler), natsconn.Callbacks{}, nats.RetryOnFailedConnect(false))
	if err == nil {
		nc.Close()
		t.Errorf("connected %s", what)
	}
}

func TestConnect_TrustsOnlyTheCA(t *testing.T) {
	t.Parallel()
	mine, other := testenv.NewAuthority(t), testenv.NewAuthority(t)
	s := natstest.StartWith(t, func(o *server.Options) {
		o.TLS, o.TLSConfig = true, mine.ServerTLS()
		o.Users = []*server.User{{Username: "gateway", Password: "right"}}
	})
	url := strings.Replace(s.URL(), "://", "://gateway:right@", 1)
	nc, made := connect(t, natsconn.Servers{URL: url, CA: mine.File()}, natsconn.Callbacks{})
	testenv.Receive(t, "the connection", 20*time.Second, made)
	if state, err := nc.TLSConnectionState(); err != nil || !state.HandshakeComplete {
		t.Errorf("not over TLS: %v", err)
	}
	refuses(t, natsconn.Servers{URL: url, CA: other.File()}, "with another CA")
	refuses(t, natsconn.Servers{URL: url}, "with the system's CAs")
}

func TestConnect_CARequiresTLS(t *testing.T) {
	t.Parallel()
	refuses(t, natsconn.Servers{URL: natstest.Start(t).URL(), CA: testenv.NewAuthority(t).File()}, "without TLS")
}

// While a password is rotated, the servers and a service may have different ones
// for a while. The service must not give up.
func TestConnect_RetriesAfterRefusedPassword(t *testing.T) {
	t.Parallel()
	password := "right"
	s := natstest.StartWith(t, func(o *server.Options) {
		o.Users = []*server.User{{Username: "gateway", Password: password}}
	})
	refused, again := make(chan struct{}, 100), make(chan struct{}, 100)
	_, made := connect(t, natsconn.Servers{URL: strings.Replace(s.URL(), "://", "://gateway:right@", 1)}, natsconn.Callbacks{
		OnReconnect: func() { again <- struct{}{} },
		OnError: func(err error) {
			if errors.Is(err, nats.ErrAuthorization) {
				select {
				case refused <- struct{}{}:
				default: // it has seen enough of them, and the callback must not block
				}
			}
		},
	})
	testenv.Receive(t, "the connection", 20*time.Second, made)
	s.Stop()
	password = "another"
	s.Start()
	for range 3 { // the client library gives up at the second, unless told otherwise
		testenv.Receive(t, "a refusal", 20*time.Second, refused)
	}
	s.Stop()
	password = "right"
	s.Start()
	testenv.Receive(t, "another connection", 20*time.Second, again)
}

func TestConnect_LogsEachReasonOnce(t *testing.T) {
	t.Parallel()
	s := natstest.StartWith(t, func(o *server.Options) {
		o.Users = []*server.User{{Username: "gateway", Password: "right"}}
	})
	logged, tried, ended := &lines{}, make(chan struct{}), make(chan struct{})
	log := slog.New(slog.NewTextHandler(logged, nil))
	// Each attempt waits until the test has seen that it comes, so that those which are seen
	// after the stop are made after it.
	try := func(int) time.Duration {
		select {
		case tried <- struct{}{}:
		case <-t.Context().Done():
		}
		return time.Millisecond
	}
	nc, err := natsconn.ConnectWith(natsconn.Servers{URL: strings.Replace(s.URL(), "://", "://gateway:wrong@", 1)}, "test", log, natsconn.Callbacks{},
		nats.ReconnectWait(time.Millisecond), nats.ReconnectJitter(0, 0), nats.CustomReconnectDelay(try),
		nats.ClosedHandler(func(*nats.Conn) { close(ended) }))
	if err != nil {
		t.Fatal(err)
	}
	for range 5 {
		testenv.Receive(t, "another attempt", 20*time.Second, tried)
	}
	s.Stop()
	for range 5 {
		testenv.Receive(t, "another attempt", 20*time.Second, tried)
	}
	nc.Close()
	testenv.Receive(t, "the last callback", 20*time.Second, ended)
	got := logged.take()
	if strings.Count(got, "Authorization Violation") != 1 || strings.Count(got, "refused") != 1 || strings.Contains(got, "wrong") {
		t.Errorf("got\n%s", got)
	}
}

func TestConnect_LogsReconnectsAndCallsBack(t *testing.T) {
	t.Parallel()
	s, logged, again := natstest.Start(t), &lines{}, make(chan struct{}, 1)
	made := make(chan struct{})
	nc, err := natsconn.ConnectWith(natsconn.Servers{URL: s.URL()}, "test", slog.New(slog.NewTextHandler(logged, nil)),
		natsconn.Callbacks{OnConnect: func() { close(made) }, OnReconnect: func() { again <- struct{}{} }},
		nats.ReconnectWait(time.Millisecond), nats.ReconnectJitter(0, 0))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	testenv.Receive(t, "the connection", 20*time.Second, made)
	s.Stop()
	s.Start()
	testenv.Receive(t, "another connection", 20*time.Second, again)
	for _, want := range []string{"NATS is unavailable", "NATS is available again"} {
		if got := logged.take(); !strings.Contains(got, want) {
			t.Errorf("%q is not in\n%s", want, got)
		}
	}
}

// lines keeps what is written to it. It is safe for concurrent use.
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

// decentral starts a server whose accounts are defined by an operator's JWTs, and
// returns it with the credentials file of one of its users.
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

func TestConnect_UsesCredentials(t *testing.T) {
	t.Parallel()
	s, credentials := decentral(t)
	_, made := connect(t, natsconn.Servers{URL: s.URL(), Credentials: credentials}, natsconn.Callbacks{})
	testenv.Receive(t, "the connection", 20*time.Second, made)
	refuses(t, natsconn.Servers{URL: s.URL()}, "without credentials")
}

func TestConnect_NamesUnusableFiles(t *testing.T) {
	t.Parallel()
	empty, absent := file(t, "user secret"), filepath.Join(t.TempDir(), "absent")
	for _, servers := range []natsconn.Servers{{CA: empty}, {CA: absent}, {Credentials: empty}, {Credentials: absent}} {
		servers.URL = "nats://127.0.0.1:1"
		_, err := natsconn.Connect(servers, "test", slog.New(slog.DiscardHandler), natsconn.Callbacks{})
		if err == nil || !strings.Contains(err.Error(), servers.CA+servers.Credentials) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%+v: got %v", servers, err)
		}
	}
}
