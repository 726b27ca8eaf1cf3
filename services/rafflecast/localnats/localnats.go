// Package localnats runs a NATS server with JetStream in this process.
package localnats

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// Server is a running NATS server. Its methods are safe for concurrent use.
type Server struct {
	server *server.Server
	token  string
}

// readyTimeout bounds the start, which includes the recovery of streams.
const readyTimeout = 30 * time.Second

// Start runs a server on a free loopback port, with its streams on disk in dir, until
// Stop; ctx bounds only the start. The server refuses clients without the random
// token that its URL contains.
func Start(ctx context.Context, dir string, log *slog.Logger) (*Server, error) {
	token := rand.Text()
	s, err := server.NewServer(&server.Options{
		Authorization:          token,
		ServerName:             "rafflecast",
		Host:                   "127.0.0.1",
		Port:                   server.RANDOM_PORT,
		JetStream:              true,
		StoreDir:               dir,
		NoSigs:                 true, // the process handles signals
		DisableJetStreamBanner: true,
	})
	if err != nil {
		return nil, fmt.Errorf("configure the NATS server: %w", err)
	}
	s.SetLoggerV2(logger{log}, false, false, false)
	go s.Start() // ends with Shutdown
	if !s.ReadyForConnections(readyTimeout) || ctx.Err() != nil {
		s.Shutdown()
		s.WaitForShutdown()
		return nil, errors.Join(fmt.Errorf("the NATS server in %s did not become ready", dir), context.Cause(ctx))
	}
	return &Server{s, token}, nil
}

// URL returns the URL for clients, which contains the token.
func (s *Server) URL() string { return "nats://" + s.token + "@" + s.server.Addr().String() }

// Stop ends the server and waits for it. Idempotent.
func (s *Server) Stop() {
	s.server.Shutdown()
	s.server.WaitForShutdown()
}

// logger writes the server's log to slog.
type logger struct{ log *slog.Logger }

func (l logger) Noticef(f string, v ...any) { l.log.Debug("nats: " + fmt.Sprintf(f, v...)) }
func (l logger) Warnf(f string, v ...any)   { l.log.Warn("nats: " + fmt.Sprintf(f, v...)) }
func (l logger) Errorf(f string, v ...any)  { l.log.Error("nats: " + fmt.Sprintf(f, v...)) }
func (l logger) Fatalf(f string, v ...any)  { l.log.Error("nats: " + fmt.Sprintf(f, v...)) }
func (l logger) Debugf(string, ...any)      {}
func (l logger) Tracef(string, ...any)      {}
