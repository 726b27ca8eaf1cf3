package httpapi

import (
	"bufio"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/durationpb"
)

func failure(t *testing.T, code codes.Code, message string, details ...protoadapt.MessageV1) error {
	t.Helper()
	st, err := status.New(code, message).WithDetails(details...)
	if err != nil {
		t.Fatal(err)
	}
	return st.Err()
}

func TestErrors_KeepTheDetailsOfAStatus(t *testing.T) {
	t.Parallel()
	b := setup(t)
	info := func(reason string) *errdetails.ErrorInfo {
		return &errdetails.ErrorInfo{Reason: reason, Domain: "rafflecast", Metadata: map[string]string{"raffleId": "1"}}
	}
	for _, c := range []struct {
		code       codes.Code
		reason     string
		retry      time.Duration
		status     int
		name       string
		retryAfter string
	}{
		{codes.NotFound, "RAFFLE_NOT_FOUND", 0, http.StatusNotFound, "NOT_FOUND", ""},
		{codes.FailedPrecondition, "ENTRY_LIMIT_REACHED", 0, http.StatusBadRequest, "FAILED_PRECONDITION", ""},
		{codes.ResourceExhausted, "BUSY", 100 * time.Millisecond, http.StatusTooManyRequests, "RESOURCE_EXHAUSTED", "1"},
		{codes.Unavailable, "STORE_UNAVAILABLE", 1100 * time.Millisecond, http.StatusServiceUnavailable, "UNAVAILABLE", "2"},
		{codes.DeadlineExceeded, "DEADLINE_EXCEEDED", 0, http.StatusGatewayTimeout, "DEADLINE_EXCEEDED", ""},
		{codes.Canceled, "CANCELLED", 0, 499, "CANCELLED", ""},
		{codes.Internal, "INTERNAL", 0, http.StatusInternalServerError, "INTERNAL", ""},
		{codes.InvalidArgument, "INVALID", 0, http.StatusBadRequest, "INVALID_ARGUMENT", ""},
	} {
		details := []protoadapt.MessageV1{info(c.reason)}
		if c.retry != 0 {
			details = append(details, &errdetails.RetryInfo{RetryDelay: durationpb.New(c.retry)})
		}
		if c.code == codes.InvalidArgument {
			details = append(details, &errdetails.BadRequest{FieldViolations: []*errdetails.BadRequest_FieldViolation{{Field: "winners", Description: "must be 1", Reason: "INT32_GTE"}}})
		}
		b.fail(failure(t, c.code, "the message", details...))
		got := b.do("GET /api/v1/raffles/1", "", "")
		if got.status != c.status || got.err.Code != c.name || got.err.Reason != c.reason || got.err.Message != "the message" ||
			got.err.Metadata["raffleId"] != "1" || got.header.Get("Retry-After") != c.retryAfter {
			t.Errorf("%s: %d %v %s", c.reason, got.status, got.header, got.body)
		}
		if c.code == codes.InvalidArgument && (len(got.err.Violations) != 1 || got.err.Violations[0].Field != "winners" || got.err.Violations[0].Reason != "INT32_GTE") {
			t.Errorf("violations: %s", got.body)
		}
		if got.header.Get("Content-Type") != "application/json; charset=utf-8" {
			t.Errorf("%s: %v", c.reason, got.header)
		}
	}
}

func TestErrors_HideTheTextOfLibraries(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for code, want := range map[codes.Code]string{
		codes.Unavailable: "UNAVAILABLE", codes.Internal: "INTERNAL", codes.Unknown: "INTERNAL", codes.Canceled: "CANCELLED", codes.InvalidArgument: "INTERNAL",
	} {
		b.fail(status.Error(code, "transport: secret"))
		got := b.do("GET /api/v1/raffles/1", "", "")
		if strings.Contains(got.body, "secret") || got.err.Reason != want {
			t.Errorf("%v: %d %s", code, got.status, got.body)
		}
		if (code == codes.Unavailable) != (got.header.Get("Retry-After") != "") {
			t.Errorf("%v: %v", code, got.header)
		}
	}
}

func TestErrors_BodyThatDoesNotArrive(t *testing.T) {
	t.Parallel()
	b := setup(t)
	h, err := New(t.Context(), b.conn, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(h)
	server.Config.ReadTimeout = 2 * time.Second // within which a busy machine reads the header
	server.Start()
	t.Cleanup(server.Close)
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if _, err := io.WriteString(conn, "POST /api/v1/raffles/1/entries HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: 20\r\n\r\n{"); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusRequestTimeout || !strings.Contains(string(body), `"reason":"BODY_TIMEOUT"`) {
		t.Errorf("%d %s, %v", resp.StatusCode, body, err)
	}
}

// While the database is unavailable, every path says when to try again.
func TestErrors_UnavailableIsTheSameOnEveryPath(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.fail(failure(t, codes.Unavailable, "the message", &errdetails.ErrorInfo{Reason: "STORE_UNAVAILABLE"},
		&errdetails.RetryInfo{RetryDelay: durationpb.New(time.Second)}))
	for _, r := range routes {
		if r.stream {
			continue // its answer has begun
		}
		path := r.path(map[string]string{"raffle_id": "1", "raffle.id": "1", "ticket": "0"})
		got := b.do(r.method+" "+path, "", "")
		if got.status != http.StatusServiceUnavailable || got.header.Get("Retry-After") != "1" || got.err.Reason != "STORE_UNAVAILABLE" {
			t.Errorf("%s %s: %d %v %s", r.method, path, got.status, got.header, got.body)
		}
	}
}
