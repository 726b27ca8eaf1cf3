package participation

import (
	"crypto/tls"

	"github.com/rafflecast/rafflecast/services/internal/access"
	"github.com/rafflecast/rafflecast/services/participation/internal/grpcapi"
)

// secured is what the servers need to know of callers, and for TLS.
type secured struct {
	access     *grpcapi.Access // nil: everybody may do everything
	tokens     *access.Tokens  // nil: none are accepted
	grpc, http *tls.Config     // nil: none
}

func newSecured(cfg *Config) (s secured, err error) {
	if cfg.TLS.Enabled() {
		if s.grpc, err = cfg.TLS.Server(cfg.Log, "h2"); err != nil {
			return s, err
		}
		if s.http, err = cfg.TLS.Server(cfg.Log, "h2", "http/1.1"); err != nil {
			return s, err
		}
	}
	if cfg.Access.Enabled() {
		if s.tokens, err = access.NewTokens(&cfg.Access, cfg.Log); err != nil {
			return s, err
		}
	}
	if s.tokens == nil && cfg.Certificates == "" {
		return s, nil
	}
	certificates, err := access.ParseCertificates(cfg.Certificates)
	s.access = &grpcapi.Access{Tokens: s.tokens, Certificates: certificates}
	return s, err
}
