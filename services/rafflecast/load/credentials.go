package load

import (
	"context"
	"crypto/tls"
	"log/slog"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/rafflecast/rafflecast/services/internal/config"
	"github.com/rafflecast/rafflecast/services/internal/tlsfiles"
)

// Credentials say who calls, where callers are authenticated, and whether by TLS.
type Credentials struct {
	Token string `name:"token" env:"LOAD_TOKEN" secret:"" form:"a token of a backend and operator" help:"Bearer token of all calls, as rafflecast token --scope='backend operator' makes it for development."`
	CA    string `name:"ca" env:"LOAD_CA" form:"a PEM file of certificates" help:"Authorities of participation's certificate. With it, calls have TLS."`
}

// Rules implements config.Rules.
func (c *Credentials) Rules(check *config.Checks) {
	_, err := c.tls()
	check.NoError(err, &c.CA)
}

// tls returns the configuration of connections, or nil if they have no TLS.
func (c *Credentials) tls() (*tls.Config, error) {
	if c.CA == "" {
		return nil, nil //nolint:nilnil // nil means none
	}
	files := tlsfiles.Client{CA: c.CA}
	current, err := files.Config(slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, err
	}
	return current()
}

// Options returns what Dial needs.
func (c *Credentials) Options() (options []grpc.DialOption, err error) {
	cfg, err := c.tls()
	if err != nil {
		return nil, err
	}
	if cfg != nil {
		options = append(options, grpc.WithTransportCredentials(credentials.NewTLS(cfg)))
	}
	if c.Token != "" {
		options = append(options, grpc.WithPerRPCCredentials(bearer(c.Token)))
	}
	return options, nil
}

// bearer is a token that is sent with each call.
type bearer string

// GetRequestMetadata implements credentials.PerRPCCredentials.
func (b bearer) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{"authorization": "Bearer " + string(b)}, nil
}

// RequireTransportSecurity reports false: on loopback there may be no TLS.
func (bearer) RequireTransportSecurity() bool { return false }
