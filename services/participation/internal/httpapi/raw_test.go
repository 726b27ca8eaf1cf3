package httpapi

import (
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/rafflecast/rafflecast/services/draw/logfile"
	"github.com/rafflecast/rafflecast/services/participation/internal/grpcapi"
)

// A complete page of a log never changes, so caches may keep it; those that several people
// share only if nobody had to say who asks.
func TestRaw_PassesTheCallerOnAndSaysWhoMayKeepTheAnswer(t *testing.T) {
	t.Parallel()
	b := setup(t)
	page := []byte{}
	for range logfile.PageSize {
		page = logfile.Append(page, []byte("record"))
	}
	h, err := New(t.Context(), b.conn, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	certificate := &tls.ConnectionState{VerifiedChains: [][]*x509.Certificate{{{Raw: []byte("own")}}}}
	for _, c := range []struct {
		records []byte
		token   string
		state   *tls.ConnectionState
		want    string
	}{
		{page, "", nil, "public, max-age=31536000, immutable"},
		{page, "Bearer t", nil, "private, max-age=31536000, immutable"},
		{page, "", certificate, "private, max-age=31536000, immutable"},
		{page[:10], "", nil, "no-cache"},
		{page[:10], "Bearer t", nil, "private, no-cache"},
	} {
		b.grpc.mu.Lock()
		b.grpc.records = c.records
		b.grpc.mu.Unlock()
		req := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/api/v1/raffles/1/log", nil)
		req.TLS = c.state
		if c.token != "" {
			req.Header.Set("Authorization", c.token)
		}
		resp := httptest.NewRecorder()
		h.ServeHTTP(resp, req)
		b.grpc.mu.Lock()
		seen := append(b.grpc.caller.Get("authorization"), "")[0]
		isByCertificate := len(b.grpc.caller.Get(grpcapi.CertificateKey)) > 0
		b.grpc.mu.Unlock()
		if got := resp.Header().Get("Cache-Control"); resp.Code != http.StatusOK || got != c.want || seen != c.token || isByCertificate != (c.state != nil) {
			t.Errorf("%d bytes for %q: %d, %q, and the call was made for %q, by certificate: %t", len(c.records), c.token, resp.Code, got, seen, isByCertificate)
		}
	}
}
