package httpapi

import (
	"context"
	"net/http"

	"google.golang.org/grpc/metadata"

	"github.com/rafflecast/rafflecast/services/participation/internal/grpcapi"
)

type callerKey struct{}

// withCaller returns the request with what the gRPC server must know of its caller.
func withCaller(r *http.Request) *http.Request {
	caller := metadata.MD{grpcapi.AddressKey: {r.RemoteAddr}}
	if headers := r.Header.Values("Authorization"); len(headers) > 0 {
		caller[grpcapi.AuthorizationKey] = headers
	}
	if r.TLS != nil && len(r.TLS.VerifiedChains) > 0 {
		caller[grpcapi.CertificateKey] = []string{string(r.TLS.VerifiedChains[0][0].Raw)}
	}
	return r.WithContext(context.WithValue(r.Context(), callerKey{}, caller))
}

// callerOf returns the metadata that withCaller has added.
func callerOf(ctx context.Context) metadata.MD {
	caller, _ := ctx.Value(callerKey{}).(metadata.MD)
	return caller
}
