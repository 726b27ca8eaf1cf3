package httpapi

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// FuzzHandler sends whole requests, as bytes, through all of the HTTP API: no request is
// a defect, and every answer is JSON.
func FuzzHandler(f *testing.F) {
	for _, request := range []string{
		"GET /api/v1/raffles/1 HTTP/1.1\r\nHost: h\r\n\r\n",
		"GET /api/v1/raffles?pageSize=2&pageToken=x%3D&state=OPEN HTTP/1.1\r\nHost: h\r\n\r\n",
		"POST /api/v1/raffles HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: 25\r\n\r\n{\"title\":\"A\",\"winners\":1}",
		"PATCH /api/v1/raffles/9?updateMask=title,* HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: 13\r\n\r\n{\"title\":\"B\"}",
		"POST /api/v1/raffles/9:close HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"POST /api/v1/raffles/%39:cancel?requestId=x HTTP/1.1\r\nHost: h\r\n\r\n",
		"POST /api/v1/raffle/1 HTTP/1.1\r\nHost: h\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 12\r\n\r\nmemberId=%ff",
		"POST /api/v1/raffles/+1/entries?memberId=m;requestId=x HTTP/1.1\r\nHost: h\r\nContent-Type: FAKE {\"level\":1}\r\nContent-Length: 2\r\n\r\n{}",
		"POST /api/v1/raffles/0x1/entries:withdraw HTTP/1.1\r\nHost: h\r\nContent-Encoding: gzip\r\n\r\n",
		"POST /api/v1/entries:stream HTTP/1.1\r\nHost: h\r\nContent-Type: application/x-ndjson\r\nContent-Length: 3\r\n\r\n{}\n",
		"OPTIONS /openapi.json?x=1 HTTP/1.0\r\n\r\n",
		"HEAD /api/v1/raffles/9223372036854775808/odds HTTP/1.1\r\nHost: h\r\nGrpc-Timeout: 1n\r\n\r\n",
	} {
		f.Add(request)
	}
	b := &testBundle{grpc: &fakeServer{}}
	handler := b.serve(f, slog.New(slog.DiscardHandler))
	f.Fuzz(func(t *testing.T, text string) {
		r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(text)))
		if err != nil {
			return // net/http answers those by itself
		}
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r.WithContext(ctx))
		if ctx.Err() != nil {
			t.Errorf("%q: no answer in time", text)
		}
		if w.Code >= http.StatusInternalServerError || w.Code < 200 {
			t.Errorf("%q: %d %q", text, w.Code, w.Body)
		}
		for line := range bytes.Lines(w.Body.Bytes()) {
			if w.Header().Get("Content-Type") == ndjsonType && !json.Valid(line) {
				t.Errorf("%q: the line %q is no JSON", text, line)
			}
		}
		if w.Body.Len() > 0 && w.Header().Get("Content-Type") != ndjsonType && !json.Valid(w.Body.Bytes()) {
			t.Errorf("%q: %d %q is no JSON", text, w.Code, w.Body)
		}
	})
}

// FuzzEnterStream reads a body of lines: each is answered, or the last line says which
// one is malformed, and all before it are answered.
func FuzzEnterStream(f *testing.F) {
	for _, body := range []string{
		line(1, "m") + line(2, "n"), "\r\n" + line(1, "m") + "\n" + `{"correlationId":7,"enter":{}}`, line(1, "m") + "{\n" + line(2, "m"), "null", "{}{}",
		`{"enter":{"memberId":"m","memberId":"m"}}`, `{"enter":{"raffleId":1e0}}`, "\xff", `{"enter":` + strings.Repeat("[", 1000),
		`{"correlationId":"9223372036854775808"}`,
	} {
		f.Add([]byte(body))
	}
	b := &testBundle{grpc: &fakeServer{}}
	handler := b.serve(f, slog.New(slog.DiscardHandler))
	f.Fuzz(func(t *testing.T, body []byte) {
		if bytes.Contains(body, []byte("stop")) {
			return // the fake server takes that for the end
		}
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		r := httptest.NewRequestWithContext(ctx, http.MethodPost, "/api/v1/entries:stream", bytes.NewReader(body))
		r.Header.Set("Content-Type", ndjsonType)
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		if ctx.Err() != nil {
			t.Fatalf("%q: no answer in time", body)
		}
		var results, failures int
		for answer := range bytes.Lines(w.Body.Bytes()) {
			if failures > 0 {
				t.Errorf("%q: %q follows an error", body, answer)
			}
			switch {
			case bytes.HasPrefix(answer, []byte(`{"result":`)):
				results++
			case bytes.HasPrefix(answer, []byte(`{"error":`)):
				failures++
			default:
				t.Errorf("%q: the answer %q", body, answer)
			}
		}
		sent := 0
		for request := range bytes.SplitSeq(body, []byte("\n")) {
			if len(bytes.TrimSuffix(request, []byte("\r"))) > 0 {
				sent++
			}
		}
		if results > sent || failures == 0 && results != sent {
			t.Errorf("%q: %d lines, %d answers, %d errors: %s", body, sent, results, failures, w.Body)
		}
	})
}
