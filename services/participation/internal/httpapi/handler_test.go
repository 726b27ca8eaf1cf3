package httpapi

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/rafflecast/rafflecast/services/internal/httpserver"
)

// Requests for other hosts, which DNS rebinding makes, and changes by the pages of other
// origins are refused on every path, before anything is read.
func TestHandler_RefusesOtherHostsAndOrigins(t *testing.T) {
	t.Parallel()
	b := setup(t)
	h, err := New(t.Context(), b.conn, httpserver.ParseHosts([]string{"shop.example"}, true), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	answer := func(request, host string, header ...string) (int, string) {
		method, path, _ := strings.Cut(request, " ")
		r := httptest.NewRequestWithContext(t.Context(), method, path, nil)
		r.Host = host
		for i := 0; i < len(header); i += 2 {
			r.Header.Set(header[i], header[i+1])
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		var body struct{ Error requestError }
		_ = json.Unmarshal(w.Body.Bytes(), &body) // an answer without an error has no reason
		return w.Code, body.Error.Reason
	}
	const enter, list = "POST /api/v1/raffles/1/entries?memberId=7", "GET /api/v1/raffles"
	for _, request := range []string{enter, list, "GET /api/v1/raffles/1/log", "POST /api/v1/entries:stream", "OPTIONS /api/v1/raffles", "GET /openapi.json", "GET /nowhere"} {
		if status, reason := answer(request, "evil.example"); status != http.StatusMisdirectedRequest || reason != "HOST_NOT_ALLOWED" {
			t.Errorf("%s for another host: %d %s", request, status, reason)
		}
	}
	for _, header := range [][]string{
		{"Origin", "https://evil.example"}, {"Origin", "null"}, {"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"},
	} {
		for _, request := range []string{enter, "POST /api/v1/raffles/1:close", "PATCH /api/v1/raffles/1", "POST /api/v1/entries:stream"} {
			if status, reason := answer(request, "shop.example", header...); status != http.StatusForbidden || reason != "CROSS_ORIGIN" {
				t.Errorf("%s with %s: %d %s", request, header, status, reason)
			}
		}
		if status, reason := answer(list, "shop.example", header...); status != http.StatusOK {
			t.Errorf("%s with %s: %d %s", list, header, status, reason)
		}
	}
	if b.grpc.last.ProtoReflect().Descriptor().Name() != "ListRafflesRequest" {
		t.Errorf("the call was made: %v", b.grpc.last)
	}
	for _, header := range [][]string{{}, {"Origin", "http://shop.example"}, {"Sec-Fetch-Site", "same-origin"}} {
		if status, reason := answer(enter, "shop.example", header...); status != http.StatusOK {
			t.Errorf("with %s: %d %s", header, status, reason)
		}
	}
}
