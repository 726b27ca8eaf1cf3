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
	// That there are several is enough to refuse them: what they take as metadata is bounded.
	r.Header["Authorization"] = slices.Repeat([]string{strings.Repeat("a", 10<<10)}, 1000)
	if got := callerOf(withCaller(r).Context())[grpcapi.AuthorizationKey]; len(got) != 2 || len(got[0])+len(got[1]) > 10<<10 {
		t.Errorf("%d tokens are passed on", len(got))
	}
}

// What is no text is no token, which the gRPC server says: as metadata it would fail the
// call as if we were to blame.
func TestCaller_ATokenIsText(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, header := range []string{"Bearer é", "Bearer \xff\xfe", "Bearer\ta", "Bearer a\tb"} {
		for _, path := range []string{"/api/v1/raffles/1/odds", "/api/v1/raffles/1/log"} {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, b.url+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Authorization", header)
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if resp.StatusCode == http.StatusInternalServerError {
				t.Errorf("%q for %s: %s", header, path, resp.Status)
			}
			r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
			r.Header["Authorization"] = []string{header}
			if got := callerOf(withCaller(r).Context())[grpcapi.AuthorizationKey]; !slices.Equal(got, []string{""}) {
				t.Errorf("%q becomes %q", header, got)
			}
		}
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
