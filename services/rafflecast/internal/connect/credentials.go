package connect

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/rafflecast/rafflecast/services/internal/config"
	"github.com/rafflecast/rafflecast/services/internal/tlsfiles"
)

// Credentials say who calls, and whether by TLS.
type Credentials struct {
	Token       string `name:"token" env:"RAFFLECAST_TOKEN" secret:"" group:"Connection:" form:"a bearer token" help:"Token of all calls, as rafflecast token makes it for development."`
	TokenFile   string `name:"token-file" env:"RAFFLECAST_TOKEN_FILE" group:"Connection:" form:"a file with a bearer token" help:"File with the token, which is read for each call."`
	TLS         bool   `name:"tls" env:"RAFFLECAST_TLS" group:"Connection:" help:"Call gRPC by TLS, and trust the system's authorities."`
	CA          string `name:"ca" env:"RAFFLECAST_CA" group:"Connection:" form:"a PEM file of certificates" help:"Authorities to trust instead of the system's. With it, gRPC is called by TLS."`
	Certificate string `name:"cert" env:"RAFFLECAST_CERT" group:"Connection:" form:"a PEM file with a certificate" help:"Certificate that shows who calls. With it, gRPC is called by TLS."`
	Key         string `name:"key" env:"RAFFLECAST_KEY" group:"Connection:" form:"a PEM file with the key of --cert" help:"Private key of that certificate."`
}

// Rules implements config.Rules.
func (c *Credentials) Rules(check *config.Checks) {
	check.That(c.Token == "" || c.TokenFile == "", &c.TokenFile, "left out if there is a --token")
	check.That((c.Certificate == "") == (c.Key == ""), &c.Key, "a PEM file, together with --cert")
	_, err := c.token()
	check.NoError(err, &c.TokenFile)
	if (c.Certificate == "") == (c.Key == "") {
		_, err = c.TLSConfig()
		check.NoError(err, &c.CA)
	}
}

// TLSConfig returns the configuration of connections, or nil if none of it is set.
func (c *Credentials) TLSConfig() (*tls.Config, error) {
	if !c.TLS && c.CA == "" && c.Certificate == "" {
		return nil, nil //nolint:nilnil // nil means none
	}
	files := tlsfiles.Client{CA: c.CA, Certificate: c.Certificate, Key: c.Key}
	current, err := files.Config(slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, err
	}
	return current()
}

// DialOptions returns what a gRPC connection needs.
func (c *Credentials) DialOptions() ([]grpc.DialOption, error) {
	secured, err := c.TLSConfig()
	if err != nil {
		return nil, err
	}
	transport := insecure.NewCredentials()
	if secured != nil {
		transport = credentials.NewTLS(secured)
	}
	return []grpc.DialOption{grpc.WithTransportCredentials(transport), grpc.WithPerRPCCredentials(bearer{c})}, nil
}

// tlsTimeout bounds the TLS handshake with a gateway.
const tlsTimeout = 10 * time.Second

// HTTPClient returns a client for a gateway, by HTTP/1.1. It does not set the token, see Authorize.
func (c *Credentials) HTTPClient() (*http.Client, error) {
	secured, err := c.TLSConfig()
	if err != nil {
		return nil, err
	}
	transport := &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         (&net.Dialer{Timeout: dialTimeout}).DialContext,
		TLSClientConfig:     secured,
		TLSHandshakeTimeout: tlsTimeout,
		DisableCompression:  true,
	}
	return &http.Client{Transport: transport}, nil
}

// Authorize adds the token to a request, if there is one.
func (c *Credentials) Authorize(header http.Header) error {
	token, err := c.token()
	if err == nil && token != "" {
		header.Set("Authorization", "Bearer "+token)
	}
	return err
}

// token returns the token, or "" if there is none.
func (c *Credentials) token() (string, error) {
	if c.TokenFile == "" {
		return c.Token, nil
	}
	text, err := os.ReadFile(c.TokenFile)
	if err != nil {
		return "", err
	}
	token := strings.TrimSpace(string(text))
	if token == "" || strings.ContainsAny(token, " \t\r\n") {
		return "", errors.New(c.TokenFile + " holds no token")
	}
	return token, nil
}

// bearer sends the token with each call.
type bearer struct{ from *Credentials }

// GetRequestMetadata implements credentials.PerRPCCredentials.
func (b bearer) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	token, err := b.from.token()
	if err != nil || token == "" {
		return nil, err
	}
	return map[string]string{"authorization": "Bearer " + token}, nil
}

// RequireTransportSecurity reports false: on loopback there may be no TLS.
func (bearer) RequireTransportSecurity() bool { return false }
