package httpapi

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/rafflecast/rafflecast/services/participation/internal/grpcapi"
)

// The gRPC server believes what it is told here, so only the certificate of the client
// itself may be passed on, once it was verified.
func TestCaller_IsTheVerifiedCertificate(t *testing.T) {
	t.Parallel()
	own, authority := &x509.Certificate{Raw: []byte("own")}, &x509.Certificate{Raw: []byte("authority")}
	for name, c := range map[string]struct {
		state *tls.ConnectionState
		want  []string
	}{
		"without TLS":         {nil, nil},
		"without certificate": {&tls.ConnectionState{}, nil},
		"not verified":        {&tls.ConnectionState{PeerCertificates: []*x509.Certificate{own}}, nil},
		"verified":            {&tls.ConnectionState{VerifiedChains: [][]*x509.Certificate{{own, authority}}}, []string{"own"}},
	} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
		r.TLS = c.state
		if got := callerOf(withCaller(r).Context())[grpcapi.CertificateKey]; !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

// Which of two tokens counts is not decided here: the gRPC server refuses them.
func TestCaller_BringsAllItsTokens(t *testing.T) {
	t.Parallel()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
	r.Header["Authorization"] = []string{"Bearer a", "Bearer b"}
	if got := callerOf(withCaller(r).Context())[grpcapi.AuthorizationKey]; !slices.Equal(got, []string{"Bearer a", "Bearer b"}) {
		t.Errorf("%q", got)
	}
}

// The header of a request can't disguise a method, set a deadline, or say who calls, and
// the gRPC server's metadata stays inside.
func TestRequest_IgnoresHeaders(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, request := range []string{"POST /api/v1/raffles/1/entries?memberId=7", "GET /api/v1/raffles/1/log", "POST /api/v1/entries:stream"} {
		method, path, _ := strings.Cut(request, " ")
		req, err := http.NewRequestWithContext(t.Context(), method, b.url+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(path, ":stream") {
			req.Header.Set("Content-Type", ndjsonType)
		}
		req.Header.Set("X-Http-Method-Override", "PATCH")
		req.Header.Set("Grpc-Timeout", "nonsense")
		for _, name := range []string{grpcapi.CertificateKey, grpcapi.AddressKey, grpcapi.AuthorizationKey} {
			req.Header.Set(name, "forged")
			req.Header.Set("Grpc-Metadata-"+name, "forged")
		}
		req.Header.Set("Authorization", "Bearer t") // who calls, and no other header does
		got := b.send(req)
		if got.status != http.StatusOK || strings.Contains(fmt.Sprint(got.header), "Marked") {
			t.Errorf("%s: %d %s, header %v", request, got.status, got.body, got.header)
		}
		b.grpc.mu.Lock()
		caller := b.grpc.caller
		b.grpc.mu.Unlock()
		address := caller.Get(grpcapi.AddressKey)
		if len(caller.Get(grpcapi.CertificateKey)) > 0 || len(address) != 1 || !strings.HasPrefix(address[0], "127.0.0.1:") ||
			!slices.Equal(caller.Get(grpcapi.AuthorizationKey), []string{"Bearer t"}) {
			t.Errorf("%s: the call was made for %v", request, caller)
		}
	}
}
