package tlsfiles_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
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

// connect makes a connection, and closes it.
func connect(address string, cfg *tls.Config) error {
	c, err := dial(address, cfg)
	if err != nil {
		return err
	}
	return c.Close()
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
	if err := connect(address, withClient(before, after)); err == nil {
		t.Error("the certificate of a stranger is accepted")
	}
	if err := connect(address, &tls.Config{RootCAs: before.Pool()}); err != nil {
		t.Errorf("without a certificate: %v", err)
	}

	if err := os.WriteFile(filepath.Join(dir, "tls.key"), []byte("half a f"), 0o600); err != nil {
		t.Fatal(err)
	}
	testenv.Eventually(t, "files that can't be read change nothing, after a look at them", 10*time.Second, func() bool {
		if err := connect(address, withClient(before, before)); err != nil {
			t.Fatal(err)
		}
		return bytes.Contains(log.Bytes(), []byte("can't be read"))
	})
	after.WriteDir(dir)
	testenv.Eventually(t, "the new certificate and authority count", 10*time.Second, func() bool {
		return connect(address, withClient(after, after)) == nil
	})
	if err := connect(address, withClient(after, before)); err == nil {
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
	connectNow := func(address string) error {
		cfg, err := current()
		if err != nil {
			return err
		}
		return connect(address, cfg)
	}
	if err := connectNow(server(before)); err != nil {
		t.Fatal(err)
	}
	address := server(after)
	if err := connectNow(address); err == nil {
		t.Error("a server that a stranger has signed is trusted")
	}
	after.WriteDir(dir)
	testenv.Eventually(t, "the new files count", 10*time.Second, func() bool { return connectNow(address) == nil })
}

// Any of the files may change alone, and need not change in size.
func TestServer_NoticesEachFile(t *testing.T) {
	t.Parallel()
	before, after := testenv.NewAuthority(t), testenv.NewAuthority(t)
	dir, other := before.Dir(), after.Dir()
	pad(t, dir)
	pad(t, other)
	cfg, err := settings(dir).Server(slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	address := serve(t, cfg)
	for _, step := range []struct {
		files          []string
		server, client *testenv.Authority // whose certificates are accepted afterwards
	}{
		{nil, before, before},
		{[]string{"ca.crt"}, before, after},
		{[]string{"tls.crt", "tls.key"}, after, after},
	} {
		for _, name := range step.files {
			if err := os.Rename(filepath.Join(other, name), filepath.Join(dir, name)); err != nil {
				t.Fatal(err)
			}
		}
		client := &tls.Config{RootCAs: step.server.Pool(), Certificates: []tls.Certificate{step.client.Client("shop.example.org")}}
		testenv.Eventually(t, fmt.Sprintf("%q count", step.files), 10*time.Second, func() bool { return connect(address, client) == nil })
	}
}

// pad gives all files of a directory the same size, by line ends.
func pad(t *testing.T, dir string) {
	t.Helper()
	for _, name := range []string{"ca.crt", "tls.crt", "tls.key"} {
		path := filepath.Join(dir, name)
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, append(text, bytes.Repeat([]byte("\n"), 8000-len(text))...), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// Nobody may speak a version of TLS that is broken.
func TestConfig_RefusesOldVersions(t *testing.T) {
	t.Parallel()
	authority := testenv.NewAuthority(t)
	dir, log := authority.Dir(), slog.New(slog.DiscardHandler)
	cfg, err := settings(dir).Server(log)
	if err != nil {
		t.Fatal(err)
	}
	files := tlsfiles.Client{CA: filepath.Join(dir, "ca.crt")}
	current, err := files.Config(log)
	if err != nil {
		t.Fatal(err)
	}
	client, err := current()
	if err != nil {
		t.Fatal(err)
	}
	for version, isAccepted := range map[uint16]bool{tls.VersionTLS11: false, tls.VersionTLS12: true, tls.VersionTLS13: true} {
		old := &tls.Config{RootCAs: authority.Pool(), MinVersion: tls.VersionTLS10, MaxVersion: version}
		if err := connect(serve(t, cfg), old); (err == nil) != isAccepted {
			t.Errorf("the server, to a client of %s: %v", tls.VersionName(version), err)
		}
		old = authority.ServerTLS()
		old.MinVersion, old.MaxVersion = tls.VersionTLS10, version
		if err := connect(serve(t, old), client); (err == nil) != isAccepted {
			t.Errorf("the client, to a server of %s: %v", tls.VersionName(version), err)
		}
	}
}

func TestSettings_SayWhatIsWrong(t *testing.T) {
	t.Parallel()
	dir := testenv.NewAuthority(t).Dir()
	for want, change := range map[string]func(*tlsfiles.Settings){
		"--tls-key (TLS_KEY) has no":                             func(s *tlsfiles.Settings) { s.Key = "" },
		"--tls-cert (TLS_CERT) has no":                           func(s *tlsfiles.Settings) { s.Certificate = "" },
		"--tls-client-ca=/nonsense":                              func(s *tlsfiles.Settings) { s.ClientCA = "/nonsense" },
		"--tls-cert=" + dir + "/ca.c":                            func(s *tlsfiles.Settings) { s.Certificate = filepath.Join(dir, "ca.crt") },
		"--tls-client-ca=" + dir + "/ca.crt: must be given with": func(s *tlsfiles.Settings) { s.Certificate, s.Key = "", "" },
		"--tls-client-ca=" + dir + "/tls.key":                    func(s *tlsfiles.Settings) { s.ClientCA = s.Key }, // which holds no certificate
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
