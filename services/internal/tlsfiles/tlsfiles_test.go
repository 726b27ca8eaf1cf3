package tlsfiles_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/rafflecast/rafflecast/services/internal/config"
	"github.com/rafflecast/rafflecast/services/internal/tlsfiles"
	"github.com/rafflecast/rafflecast/services/test/testenv"
)

// serve answers each connection with what it is sent, until the test ends.
func serve(t *testing.T, cfg *tls.Config) (address string) {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			running.Go(func() {
				defer c.Close()
				secured := tls.Server(c, cfg)
				_, _ = io.Copy(secured, secured)
			})
		}
	})
	t.Cleanup(func() { l.Close(); running.Wait() })
	return l.Addr().String()
}

// dial returns a connection that has sent and received something.
func dial(address string, cfg *tls.Config) (*tls.Conn, error) {
	c, err := tls.DialWithDialer(&net.Dialer{Timeout: 5 * time.Second}, "tcp", address, cfg)
	if err != nil {
		return nil, err
	}
	if err := echo(c); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

func echo(c net.Conn) error {
	c.SetDeadline(time.Now().Add(5 * time.Second))
	if _, err := c.Write([]byte("x")); err != nil {
		return err
	}
	_, err := io.ReadFull(c, make([]byte, 1))
	return err
}

func settings(dir string) *tlsfiles.Settings {
	return &tlsfiles.Settings{
		Certificate: filepath.Join(dir, "tls.crt"), Key: filepath.Join(dir, "tls.key"), ClientCA: filepath.Join(dir, "ca.crt"),
	}
}

func TestServer_FollowsItsFiles(t *testing.T) {
	t.Parallel()
	before, after := testenv.NewAuthority(t), testenv.NewAuthority(t)
	dir := before.Dir()
	var log bytes.Buffer
	cfg, err := settings(dir).Server(slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	address := serve(t, cfg)
	withClient := func(server, client *testenv.Authority) *tls.Config {
		return &tls.Config{RootCAs: server.Pool(), Certificates: []tls.Certificate{client.Client("shop.example.org")}}
	}
	open, err := dial(address, withClient(before, before))
	if err != nil {
		t.Fatal(err)
	}
	defer open.Close()
	if _, err := dial(address, withClient(before, after)); err == nil {
		t.Error("the certificate of a stranger is accepted")
	}
	if anonymous, err := dial(address, &tls.Config{RootCAs: before.Pool()}); err != nil {
		t.Errorf("without a certificate: %v", err)
	} else {
		anonymous.Close()
	}

	if err := os.WriteFile(filepath.Join(dir, "tls.key"), []byte("half a f"), 0o600); err != nil {
		t.Fatal(err)
	}
	testenv.Eventually(t, "files that can't be read change nothing, after a look at them", 10*time.Second, func() bool {
		c, err := dial(address, withClient(before, before))
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
		return bytes.Contains(log.Bytes(), []byte("can't be read"))
	})
	after.WriteDir(dir)
	testenv.Eventually(t, "the new certificate and authority count", 10*time.Second, func() bool {
		c, err := dial(address, withClient(after, after))
		if err != nil {
			return false
		}
		c.Close()
		return true
	})
	if _, err := dial(address, withClient(after, before)); err == nil {
		t.Error("the authority that was replaced still counts")
	}
	if err := echo(open); err != nil {
		t.Errorf("a connection from before: %v", err)
	}
}

func TestClient_FollowsItsFiles(t *testing.T) {
	t.Parallel()
	before, after := testenv.NewAuthority(t), testenv.NewAuthority(t)
	dir := before.Dir()
	files := tlsfiles.Client{CA: filepath.Join(dir, "ca.crt"), Certificate: filepath.Join(dir, "tls.crt"), Key: filepath.Join(dir, "tls.key")}
	current, err := files.Config(slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	server := func(a *testenv.Authority) string {
		cfg := a.ServerTLS()
		cfg.ClientAuth, cfg.ClientCAs = tls.RequireAndVerifyClientCert, a.Pool()
		return serve(t, cfg)
	}
	connect := func(address string) error {
		cfg, err := current()
		if err != nil {
			return err
		}
		c, err := dial(address, cfg)
		if err == nil {
			c.Close()
		}
		return err
	}
	if err := connect(server(before)); err != nil {
		t.Fatal(err)
	}
	address := server(after)
	if err := connect(address); err == nil {
		t.Error("a server that a stranger has signed is trusted")
	}
	after.WriteDir(dir)
	testenv.Eventually(t, "the new files count", 10*time.Second, func() bool { return connect(address) == nil })
}

func TestSettings_SayWhatIsWrong(t *testing.T) {
	t.Parallel()
	dir := testenv.NewAuthority(t).Dir()
	for want, change := range map[string]func(*tlsfiles.Settings){
		"--tls-key (TLS_KEY) has no":   func(s *tlsfiles.Settings) { s.Key = "" },
		"--tls-cert (TLS_CERT) has no": func(s *tlsfiles.Settings) { s.Certificate = "" },
		"--tls-client-ca=/nonsense":    func(s *tlsfiles.Settings) { s.ClientCA = "/nonsense" },
		"--tls-cert=" + dir + "/ca.c":  func(s *tlsfiles.Settings) { s.Certificate = filepath.Join(dir, "ca.crt") },
	} {
		s := settings(dir)
		change(s)
		if err := config.Validate(s); err == nil || !bytes.HasPrefix([]byte(err.Error()), []byte(want)) {
			t.Errorf("want %s: %v", want, err)
		}
	}
	if err := errors.Join(config.Validate(settings(dir)), config.Validate(&tlsfiles.Settings{})); err != nil {
		t.Error(err)
	}
}
