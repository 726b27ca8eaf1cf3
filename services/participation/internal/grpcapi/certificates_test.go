package grpcapi

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"testing"
	"time"

	"google.golang.org/grpc/credentials"
	grpcmetadata "google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/test/bufconn"

	"github.com/rafflecast/rafflecast/services/internal/access"
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
}

func shopCertificate(expires time.Time) *x509.Certificate {
	return &x509.Certificate{DNSNames: []string{"shop.example.org"}, NotAfter: expires}
}

// withTLS returns the context of a call on a connection with this state.
func withTLS(ctx context.Context, state tls.ConnectionState) context.Context {
	return peer.NewContext(ctx, &peer.Peer{Addr: &net.TCPAddr{}, AuthInfo: credentials.TLSInfo{State: state}})
}
