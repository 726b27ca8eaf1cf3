// Package tlsfiles makes TLS configurations of files that may change while a service
// runs: a certificate that is renewed, or an authority that is replaced, counts for the
// connections that are made from then on, and those that are open stay.
package tlsfiles

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/rafflecast/rafflecast/services/internal/config"
)

// Settings name the files of a server.
type Settings struct {
	Certificate string `name:"tls-cert" env:"TLS_CERT" form:"a PEM file" help:"Certificate of the server, with those between it and its authority. It is read again when it changes. Without it, connections have no TLS."`
	Key         string `name:"tls-key" env:"TLS_KEY" form:"a PEM file" help:"Private key of the certificate."`
	ClientCA    string `name:"tls-client-ca" env:"TLS_CLIENT_CA" form:"a PEM file of certificates" help:"Authorities of client certificates. With it, a client may identify itself by a certificate; one that these have not signed is refused."`
}

// Enabled reports whether the server has TLS.
func (s *Settings) Enabled() bool { return s.Certificate != "" }

// Rules implements config.Rules.
func (s *Settings) Rules(check *config.Checks) {
	if s.Enabled() != (s.Key != "") {
		check.That(s.Enabled(), &s.Certificate, "given with --tls-key")
		check.That(s.Key != "", &s.Key, "given with --tls-cert")
		return
	}
	check.That(s.Enabled() || s.ClientCA == "", &s.ClientCA, "given with --tls-cert")
	if s.Enabled() {
		_, err := tls.LoadX509KeyPair(s.Certificate, s.Key)
		check.NoError(err, &s.Certificate)
	}
	if s.ClientCA != "" {
		_, err := readPool(s.ClientCA)
		check.NoError(err, &s.ClientCA)
	}
}

func readPool(path string) (*x509.CertPool, error) {
	text, err := os.ReadFile(path) //nolint:gosec // G304: the operator names this file
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, errors.New(path + " holds no certificate")
	}
	return pool, nil
}

// Server returns the configuration of a server that offers these protocols by ALPN. Its
// files are looked at by the first handshake of each second. If they can't be read, what
// was read before stays, and log says so. It fails if they can't be read now.
func (s *Settings) Server(log *slog.Logger, protocols ...string) (*tls.Config, error) {
	files := newFiles(s.paths(), func() (*tls.Config, error) { return s.read(protocols) }, log)
	first, err := files.config()
	if err != nil {
		return nil, err
	}
	outer := first.Clone()
	outer.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return files.config() }
	return outer, nil
}

func (s *Settings) paths() []string {
	paths := []string{s.Certificate, s.Key}
	if s.ClientCA != "" {
		paths = append(paths, s.ClientCA)
	}
	return paths
}

func (s *Settings) read(protocols []string) (*tls.Config, error) {
	certificate, err := tls.LoadX509KeyPair(s.Certificate, s.Key)
	if err != nil {
		return nil, fmt.Errorf("certificate of the server: %w", err)
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{certificate}, NextProtos: protocols}
	if s.ClientCA != "" {
		if c.ClientCAs, err = readPool(s.ClientCA); err != nil {
			return nil, fmt.Errorf("authorities of clients: %w", err)
		}
		c.ClientAuth = tls.VerifyClientCertIfGiven
	}
	return c, nil
}

// lookInterval is the least time between two looks at the files.
const lookInterval = time.Second

// files is a configuration that is made of files. It is safe for concurrent use.
type files struct {
	paths []string
	read  func() (*tls.Config, error)
	log   *slog.Logger

	mu      sync.Mutex
	looked  time.Time
	stats   []fs.FileInfo // of paths, when current was made
	current *tls.Config
	failed  rate.Sometimes
}

func newFiles(paths []string, read func() (*tls.Config, error), log *slog.Logger) *files {
	return &files{paths: paths, read: read, log: log, failed: rate.Sometimes{First: 1, Interval: time.Minute}}
}

// config returns the configuration of the newest files. It fails only if it has never
// succeeded.
func (f *files) config() (*tls.Config, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.current != nil && time.Since(f.looked) < lookInterval {
		return f.current, nil
	}
	f.looked = time.Now()
	stats, err := statAll(f.paths)
	if err == nil && f.current != nil && areSame(stats, f.stats) {
		return f.current, nil
	}
	var made *tls.Config
	if err == nil {
		made, err = f.read()
	}
	switch {
	case err != nil && f.current == nil:
		return nil, err
	case err != nil: // half of the files may have been replaced
		f.failed.Do(func() { f.log.Warn("the files of TLS can't be read: those before stay in use", "error", err) })
		return f.current, nil
	case f.current != nil:
		f.log.Info("the files of TLS have changed")
	}
	f.current, f.stats = made, stats
	return f.current, nil
}

func statAll(paths []string) ([]fs.FileInfo, error) {
	stats := make([]fs.FileInfo, len(paths))
	for i, path := range paths {
		var err error
		if stats[i], err = os.Stat(path); err != nil {
			return nil, err
		}
	}
	return stats, nil
}

func areSame(a, b []fs.FileInfo) bool {
	for i := range a {
		if !os.SameFile(a[i], b[i]) || !a[i].ModTime().Equal(b[i].ModTime()) || a[i].Size() != b[i].Size() {
			return false
		}
	}
	return true
}
