package grpcapi

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"net"
	"testing"
	"time"

	"google.golang.org/grpc/credentials"
	grpcmetadata "google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/test/bufconn"

	"github.com/rafflecast/rafflecast/services/internal/access"
	"github.com/rafflecast/rafflecast/services/test/tokentest"
)

// What the facade may say of its caller is believed on its own connection only.
func TestAuthentication_BelievesTheFacadeOnly(t *testing.T) {
	t.Parallel()
	ctx := grpcmetadata.NewIncomingContext(t.Context(), grpcmetadata.Pairs(CertificateKey, "x"))
	if got := passedOn(ctx, &peer.Peer{Addr: &net.TCPAddr{}}, CertificateKey); got != "" {
		t.Errorf("over TCP: %q", got)
	}
	if got := passedOn(ctx, &peer.Peer{Addr: bufconn.Listen(1).Addr()}, CertificateKey); got != "x" {
		t.Errorf("in memory: %q", got)
	}
}

// A connection may last longer than the certificate with which it was made.
func TestAuthentication_ACertificateExpiresOnAnOpenConnection(t *testing.T) {
	t.Parallel()
	a := &authentication{Access{Certificates: access.Certificates{"shop.example.org": access.Backend}}}
	for _, c := range []struct {
		expires time.Time
		want    error
	}{{time.Now().Add(time.Minute), nil}, {time.Now().Add(-time.Minute), access.ErrExpired}} {
		certificate := shopCertificate(c.expires)
		who, err := a.identify(withTLS(t.Context(), tls.ConnectionState{VerifiedChains: [][]*x509.Certificate{{certificate}}}))
		if !errors.Is(err, c.want) || who.Has(access.Backend) != (c.want == nil) {
			t.Errorf("expiring at %v: %+v, %v", c.expires, who, err)
		}
	}
}

func TestAuthentication_BelievesVerifiedCertificatesOnly(t *testing.T) {
	t.Parallel()
	a := &authentication{Access{Certificates: access.Certificates{"shop.example.org": access.Backend}}}
	unverified := tls.ConnectionState{PeerCertificates: []*x509.Certificate{shopCertificate(time.Now().Add(time.Minute))}}
	if who, err := a.identify(withTLS(t.Context(), unverified)); !errors.Is(err, access.ErrMissing) {
		t.Errorf("%+v, %v", who, err)
	}
	// A caller is what its own certificate says, not what that of its authority does.
	other := &x509.Certificate{DNSNames: []string{"other.example.org"}, NotAfter: time.Now().Add(time.Minute)}
	bySigner := tls.ConnectionState{VerifiedChains: [][]*x509.Certificate{{other, shopCertificate(time.Now().Add(time.Minute))}}}
	if who, err := a.identify(withTLS(t.Context(), bySigner)); !errors.Is(err, access.ErrMissing) {
		t.Errorf("by the name of its authority: %+v, %v", who, err)
	}
}

// A proxy with a certificate passes on the tokens of its callers, who must not get what
// the proxy may do: not by a token of less, nor by one that is not accepted.
func TestAuthentication_ATokenCountsBeforeACertificate(t *testing.T) {
	t.Parallel()
	key := tokentest.NewKey(t, "1")
	s := access.Settings{JWKS: tokentest.File(t, key), Issuer: tokentest.Issuer, Audience: tokentest.Audience, Algorithms: "ES256", MemberScope: "member"}
	tokens, err := access.NewTokens(&s, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	a := &authentication{Access{Tokens: tokens, Certificates: access.Certificates{"shop.example.org": access.Backend}}}
	proxy := withTLS(t.Context(), tls.ConnectionState{VerifiedChains: [][]*x509.Certificate{{shopCertificate(time.Now().Add(time.Minute))}}})
	identify := func(header string) (*access.Identity, error) {
		return a.identify(grpcmetadata.NewIncomingContext(proxy, grpcmetadata.Pairs(AuthorizationKey, header)))
	}
	if who, err := a.identify(proxy); err != nil || who.Roles != access.Backend {
		t.Errorf("without a token: %+v, %v", who, err)
	}
	if who, err := identify("Bearer " + key.Token("7", "member")); err != nil || who.Subject != "7" || who.Roles != access.Member {
		t.Errorf("with a member's token: %+v, %v", who, err)
	}
	expired := key.Token("7", "member", map[string]any{"exp": time.Now().Add(-time.Minute).Unix()})
	for _, header := range []string{"", "Basic YTpi", "Bearer x", "Bearer " + expired} {
		if who, err := identify(header); err == nil || who != nil {
			t.Errorf("with the header %.10q: %+v", header, who)
		}
	}
}

func shopCertificate(expires time.Time) *x509.Certificate {
	return &x509.Certificate{DNSNames: []string{"shop.example.org"}, NotAfter: expires}
}

// withTLS returns the context of a call on a connection with this state.
func withTLS(ctx context.Context, state tls.ConnectionState) context.Context {
	return peer.NewContext(ctx, &peer.Peer{Addr: &net.TCPAddr{}, AuthInfo: credentials.TLSInfo{State: state}})
}
