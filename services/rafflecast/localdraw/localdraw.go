// Package localdraw lets raffles be drawn on one machine, without the internet: it has a
// key that signs the raffles' logs, and a development chain behind the HTTP API of a
// drand relay. Whoever can read its directory knows all rounds beforehand, so it is for
// development and tests only.
package localdraw

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/rafflecast/rafflecast/services/draw"
	"github.com/rafflecast/rafflecast/services/draw/drand"
	"github.com/rafflecast/rafflecast/services/internal/httpserver"
)

// LogName is the first part of the names of all logs.
const LogName = "localhost"

// period is the time between two rounds, that of drand's quicknet.
const period = 3 * time.Second

// secretSize is the length of the chain's secret in bytes.
const secretSize = 32

// Server is a running relay of the chain. Its methods are safe for concurrent use.
type Server struct {
	dir    string
	chain  *draw.Chain
	url    string
	server *http.Server
}

// chainFile is what the chain is made of.
type chainFile struct {
	Seed    []byte
	Genesis time.Time
}

// Start makes in dir what is missing there, and serves the chain on a port of the
// loopback interface. The caller stops it.
func Start(ctx context.Context, dir string, log *slog.Logger) (*Server, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("the directory of the draws: %w", err)
	}
	s := &Server{dir: dir}
	chain, err := s.prepare()
	if err != nil {
		return nil, fmt.Errorf("the key and the chain of the draws: %w", err)
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for the development chain: %w", err)
	}
	s.chain, s.url = chain.Chain(), "http://"+listener.Addr().String()
	s.server = httpserver.New(chain.Handler())
	go func() {
		if err := httpserver.Serve(s.server, listener); err != nil {
			log.Error("the development chain has failed", "error", err)
		}
	}()
	return s, nil
}

// KeyFile returns the file with the key that signs logs.
func (s *Server) KeyFile() string { return filepath.Join(s.dir, "signing.key") }

// ChainFile returns the file that describes the chain.
func (s *Server) ChainFile() string { return filepath.Join(s.dir, "chain.json") }

// URL returns the URL of the relay.
func (s *Server) URL() string { return s.url }

// Chain returns the chain.
func (s *Server) Chain() *draw.Chain { return s.chain }

// Stop stops the relay.
func (s *Server) Stop() { _ = s.server.Close() }

// prepare makes the files that are missing, and returns the chain.
func (s *Server) prepare() (*drand.Development, error) {
	if err := makeFile(s.KeyFile(), func() ([]byte, error) {
		key, _, err := note.GenerateKey(rand.Reader, LogName)
		return []byte(key + "\n"), err
	}); err != nil {
		return nil, err
	}
	secretFile := filepath.Join(s.dir, "chain.key")
	if err := makeFile(secretFile, func() ([]byte, error) {
		secret := make([]byte, secretSize)
		_, _ = rand.Read(secret) // it never fails
		return json.Marshal(chainFile{secret, time.Now().UTC().Truncate(time.Second)})
	}); err != nil {
		return nil, err
	}
	text, err := os.ReadFile(secretFile) //nolint:gosec // we have made it
	if err != nil {
		return nil, err
	}
	var file chainFile
	if err := json.Unmarshal(text, &file); err != nil {
		return nil, fmt.Errorf("%s: %w", secretFile, err)
	}
	chain, err := drand.NewDevelopment(file.Seed, file.Genesis, period, time.Now)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", secretFile, err)
	}
	return chain, makeFile(s.ChainFile(), func() ([]byte, error) { return json.Marshal(chain.Chain()) })
}

// makeFile writes a file if it does not exist. A crash leaves it whole or absent.
func makeFile(name string, content func() ([]byte, error)) error {
	if _, err := os.Stat(name); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	data, err := content()
	if err != nil {
		return err
	}
	if err := os.WriteFile(name+".new", data, 0o600); err != nil {
		return err
	}
	return os.Rename(name+".new", name)
}
