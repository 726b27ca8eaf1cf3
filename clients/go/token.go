package client

import (
	"context"
	"net"
	"strings"
	"sync"

	"golang.org/x/oauth2"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// tokenExpired is the reason of a call whose token has expired by the service's clock.
const tokenExpired = "TOKEN_EXPIRED"

// tokens sends a token with each call. It implements credentials.PerRPCCredentials.
type tokens struct {
	source  oauth2.TokenSource
	needTLS bool

	mu      sync.Mutex
	current *oauth2.Token
}

// GetRequestMetadata returns the token, which is a new one if that of the last call is
// about to expire.
func (t *tokens) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.current.Valid() {
		token, err := t.source.Token()
		if err != nil {
			return nil, status.Errorf(codes.Unavailable, "no token: %v", err)
		}
		t.current = token
	}
	return map[string]string{"authorization": t.current.Type() + " " + t.current.AccessToken}, nil
}

// RequireTransportSecurity reports whether tokens need TLS. Only a service on this machine
// gets them without it.
func (t *tokens) RequireTransportSecurity() bool { return t.needTLS }

// drop makes the next call have a new token. It reports whether there is a source of them.
func (t *tokens) drop() bool {
	if t == nil {
		return false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.current = nil
	return true
}

// isLoopback reports whether a target of gRPC is on this machine, by its address alone.
func isLoopback(target string) bool {
	address := target[strings.LastIndexByte(target, '/')+1:]
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		host = address
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback() || strings.HasPrefix(target, "unix:")
}
