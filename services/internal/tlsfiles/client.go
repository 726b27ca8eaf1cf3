package tlsfiles

import (
	"crypto/tls"
	"fmt"
	"log/slog"
)

// Client names the files of a client. Each may be empty.
type Client struct {
	CA          string // PEM file of the authorities of servers; empty: the system's
	Certificate string // PEM files of the client's own certificate and key
	Key         string
}

// Config returns what makes the configuration of each connection of a client. The files
// are read again when they change. It fails if a file can't be read now.
func (c *Client) Config(log *slog.Logger) (func() (*tls.Config, error), error) {
	var paths []string
	for _, path := range []string{c.CA, c.Certificate, c.Key} {
		if path != "" {
			paths = append(paths, path)
		}
	}
	files := newFiles(paths, c.read, log)
	_, err := files.config()
	return files.config, err
}

func (c *Client) read() (_ *tls.Config, err error) {
	client := &tls.Config{MinVersion: tls.VersionTLS12}
	if c.CA != "" {
		if client.RootCAs, err = readPool(c.CA); err != nil {
			return nil, fmt.Errorf("authorities of servers: %w", err)
		}
	}
	if c.Certificate != "" {
		own, err := tls.LoadX509KeyPair(c.Certificate, c.Key)
		if err != nil {
			return nil, fmt.Errorf("certificate of the client: %w", err)
		}
		client.Certificates = []tls.Certificate{own}
	}
	return client, nil
}
