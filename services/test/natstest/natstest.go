// Package natstest runs NATS servers with JetStream in tests.
package natstest

import (
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/rafflecast/rafflecast/services/test/testenv"
)

// Server is a NATS server that can be stopped and started again with the same port
// and data. Not safe for concurrent use.
type Server struct {
	t       testing.TB
	options server.Options
	change  func(*server.Options) // called at each start
	server  *server.Server
}

// Start runs a server on a free loopback port until the test ends.
func Start(t testing.TB) *Server {
	t.Helper()
	return StartWith(t, func(*server.Options) {})
}

// StartWith is Start with options that change sets, at each start.
func StartWith(t testing.TB, change func(*server.Options)) *Server {
	t.Helper()
	s := &Server{t: t, change: change, options: server.Options{
		Host: testenv.Host(), Port: server.RANDOM_PORT, JetStream: true, StoreDir: t.TempDir(), NoSigs: true, NoLog: true,
	}}
	s.Start()
	t.Cleanup(s.Stop)
	return s
}

// Start starts the server again after a Stop.
func (s *Server) Start() {
	s.t.Helper()
	options := s.options
	s.change(&options)
	var err error
	if s.server, err = server.NewServer(&options); err != nil {
		s.t.Fatal(err)
	}
	go s.server.Start()
	if !s.server.ReadyForConnections(10 * time.Second) {
		s.t.Fatal("the NATS server did not start within 10 s")
	}
	s.options.Port = options.Port
}

// Stop stops the server. Its data stay. Idempotent.
func (s *Server) Stop() {
	s.server.Shutdown()
	s.server.WaitForShutdown()
}

// Name returns the server's name in its cluster.
func (s *Server) Name() string { return s.server.Name() }

// URL returns the URL for clients.
func (s *Server) URL() string { return s.server.ClientURL() }

// Dir returns the directory of the server's data, which may be changed while the
// server is stopped.
func (s *Server) Dir() string { return s.options.StoreDir }

// JetStream returns a client with a connection of its own, which ends with the test.
func (s *Server) JetStream() jetstream.JetStream {
	s.t.Helper()
	nc, err := nats.Connect(s.URL(), nats.MaxReconnects(-1), nats.ReconnectWait(10*time.Millisecond))
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		s.t.Fatal(err)
	}
	return js
}
