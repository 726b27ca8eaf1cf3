// Package httpserver makes the HTTP servers of all our ports.
package httpserver

import (
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"time"
)

// IdleTimeout is how long a connection may wait for another request by default. Common
// load balancers keep theirs for up to 600 s, and a connection that the server closes
// first may cost a request.
// https://cloud.google.com/load-balancing/docs/https#timeout-keepalive-backends
const IdleTimeout = 620 * time.Second

// responseTimeout bounds the time from a request's header to the last byte of its
// answer: a client that never reads would hold it in memory for ever. It is above what a
// gateway's forwarded requests may take. Streams and long polls set limits of their own.
const responseTimeout = 40 * time.Second

// New returns a server with limits that suit every port: the header of a request may
// take 5 s and 16 KiB, its answer 40 s, and a connection waits IdleTimeout for the next
// one.
func New(h http.Handler) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 5 * time.Second,
		WriteTimeout:      responseTimeout,
		IdleTimeout:       IdleTimeout,
		MaxHeaderBytes:    16 << 10,
	}
}

// Serve serves on l until the server is shut down or closed, which is no error, even
// if that happens before Serve is called.
func Serve(s *http.Server, l net.Listener) error {
	if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// ServeTLS is Serve with TLS, unless the configuration is nil.
func ServeTLS(s *http.Server, l net.Listener, cfg *tls.Config) error {
	if cfg == nil {
		return Serve(s, l)
	}
	s.TLSConfig = cfg
	if err := s.ServeTLS(l, "", ""); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
