package grpcapi

import (
	"context"
	"crypto/x509"
	"fmt"
	"net"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	grpcmetadata "google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
	"github.com/rafflecast/rafflecast/services/internal/access"
	"github.com/rafflecast/rafflecast/services/participation/internal/raffle"
)

// Access says how callers are known. Either may be nil.
type Access struct {
	Tokens       *access.Tokens
	Certificates access.Certificates
}

// The metadata of a call by which the HTTP facade passes on who its caller is. It is
// believed on connections in memory only.
const (
	// AuthorizationKey holds what the header Authorization does. It is read on every
	// connection.
	AuthorizationKey = "authorization"
	// CertificateKey holds the verified certificate of the client, as DER.
	CertificateKey = "rafflecast-certificate-bin"
	// AddressKey holds the address of the client.
	AddressKey = "rafflecast-address"
)

// authentication finds out who calls, and whether that may be. A bearer token counts
// before a client certificate, so that a proxy with a certificate can pass on the token
// of its own caller.
type authentication struct{ Access }

func (a *authentication) unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	who, err := a.admit(ctx, info.FullMethod, req)
	if err != nil {
		return nil, err
	}
	if who == nil {
		return next(ctx, req)
	}
	if p := permissions[info.FullMethod]; p.audited && !isForItself(who, p) {
		ctx = raffle.WithActor(ctx, who.Subject)
	}
	return next(access.With(ctx, who), req)
}

func (a *authentication) stream(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
	who, err := a.admit(stream.Context(), info.FullMethod, nil)
	if err != nil {
		return err
	}
	if who == nil {
		return next(srv, stream)
	}
	return next(srv, &streamUntil{stream, access.With(stream.Context(), who)})
}

// admit returns who makes a call, nil if everybody may make it.
func (a *authentication) admit(ctx context.Context, fullMethod string, req any) (*access.Identity, error) {
	p, ok := permissionOf(fullMethod, req)
	if !ok {
		return nil, fmt.Errorf("%s has no permission in the table", fullMethod)
	}
	if p.public {
		return nil, nil //nolint:nilnil // nobody is asked for
	}
	who, err := a.identify(ctx)
	if err != nil {
		return nil, err
	}
	return who, permit(who, p, req)
}

// identify returns the identity of the caller.
func (a *authentication) identify(ctx context.Context) (*access.Identity, error) {
	if headers := grpcmetadata.ValueFromIncomingContext(ctx, AuthorizationKey); len(headers) > 0 {
		token, err := access.Bearer(headers)
		if err != nil {
			return nil, err
		}
		return a.Tokens.Verify(ctx, token)
	}
	if certificate := certificateOf(ctx); certificate != nil {
		if who := a.Certificates.Identify(certificate); who != nil {
			if time.Now().After(who.Expires) { // since the connection was made
				return nil, access.ErrExpired
			}
			return who, nil
		}
	}
	return nil, access.ErrMissing
}

// certificateOf returns the verified certificate of the client, or nil.
func certificateOf(ctx context.Context) *x509.Certificate {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return nil
	}
	if info, ok := p.AuthInfo.(credentials.TLSInfo); ok && len(info.State.VerifiedChains) > 0 {
		return info.State.VerifiedChains[0][0]
	}
	if passed := passedOn(ctx, p, CertificateKey); passed != "" {
		if certificate, err := x509.ParseCertificate([]byte(passed)); err == nil {
			return certificate
		}
	}
	return nil
}

// passedOn returns what the facade says of its caller, or "".
func passedOn(ctx context.Context, p *peer.Peer, key string) string {
	if !isInMemory(p.Addr) {
		return ""
	}
	if values := grpcmetadata.ValueFromIncomingContext(ctx, key); len(values) == 1 {
		return values[0]
	}
	return ""
}

// isInMemory reports whether an address is that of a connection within the process.
func isInMemory(addr net.Addr) bool { return addr != nil && addr.Network() == "bufconn" }

// own applies the permission of EnterStream to one of its messages.
func own(who *access.Identity, req *rafflev1.EnterRequest) error {
	if who == nil {
		return nil // nobody is authenticated
	}
	return permit(who, permissions[rafflev1.ParticipationService_EnterStream_FullMethodName], req)
}

// inMemoryCredentials are for connections within the process.
var inMemoryCredentials = insecure.NewCredentials()
