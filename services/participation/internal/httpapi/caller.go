package httpapi

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"google.golang.org/grpc/metadata"

	"github.com/rafflecast/rafflecast/services/participation/internal/grpcapi"
)

type callerKey struct{}

// withCaller returns the request with what the gRPC server must know of its caller.
func withCaller(r *http.Request) *http.Request {
	caller := metadata.MD{grpcapi.AddressKey: {r.RemoteAddr}}
	if headers := r.Header.Values("Authorization"); len(headers) > 0 {
		caller[grpcapi.AuthorizationKey] = credentials(headers)
	}
	if r.TLS != nil && len(r.TLS.VerifiedChains) > 0 {
		caller[grpcapi.CertificateKey] = []string{string(r.TLS.VerifiedChains[0][0].Raw)}
	}
	return r.WithContext(context.WithValue(r.Context(), callerKey{}, caller))
}

// maxCredentials bounds the Authorization headers that are passed on in bytes: one that is
// longer holds no token that is accepted. HTTP/1 takes more than gRPC does.
const maxCredentials = 9 << 10

// credentials returns what the gRPC server must know of a request's Authorization headers.
// It refuses several, an empty one, and one that is too long. So two stand for all that there
// are, an empty one for what can't be metadata, and the beginning for one that is too long.
func credentials(headers []string) []string {
	passed := slices.Clone(headers[:min(len(headers), 2)])
	isOther := func(r rune) bool { return r < ' ' || r > '~' }
	for i, header := range passed {
		passed[i] = header[:min(len(header), maxCredentials/len(passed))]
		if strings.ContainsFunc(header, isOther) {
			passed[i] = ""
		}
	}
	return passed
}

// callerOf returns the metadata that withCaller has added.
func callerOf(ctx context.Context) metadata.MD {
	caller, _ := ctx.Value(callerKey{}).(metadata.MD)
	return caller
}
