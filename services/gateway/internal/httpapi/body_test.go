package httpapi

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// TestBody_IsBoundedInTimeAndSize sends requests by hand, on real sockets.
func TestBody_IsBoundedInTimeAndSize(t *testing.T) {
	t.Parallel()
	const enter = "POST /api/v1/raffles/1/entries HTTP/1.1\r\nHost: x\r\n"
	const (
		length  = "Content-Length: "
		chunked = "Transfer-Encoding: chunked\r\n\r\n"
		closing = "Connection: close\r\n"
	)
	full := strings.Repeat(" ", maxBody)
	chunk := fmt.Sprintf("%x\r\n%s\r\n", maxBody, full)
	for name, c := range map[string]struct {
		request string
		status  int
		entered string
	}{
		"none of what is announced": {enter + length + "100\r\n\r\n", 408, ""},
		"a part of it":              {enter + length + "100\r\n\r\n{", 408, ""},
		"a chunk that never comes":  {enter + chunked, 408, ""},
		"a body for a page":         {"GET / HTTP/1.1\r\nHost: x\r\n" + length + "100\r\n\r\n", 408, ""},
		"a body for a stream":       {"GET " + subscribe1 + " HTTP/1.1\r\nHost: x\r\n" + length + "9\r\n\r\n", 408, ""},
		"more than allowed":         {enter + length + "16385\r\n\r\n " + full, 413, ""},
		"more than that in chunks":  {enter + chunked + chunk + chunk, 413, ""},
		"a malformed chunk":         {enter + chunked + "x\r\n", 400, ""},
		"as large as allowed":       {enter + closing + chunked + chunk + "0\r\n\r\n", 200, full},
		"complete":                  {enter + closing + length + "2\r\n\r\n{}", 200, "{}"},
		"none":                      {enter + closing + "\r\n", 200, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var calls atomic.Int32
			timeout := time.Minute
			if c.status == http.StatusRequestTimeout {
				timeout = 50 * time.Millisecond
			}
			f := setupForwarding(t, func(c *Config) { c.BodyTimeout = timeout }, func(w http.ResponseWriter, r *http.Request) {
				calls.Add(1)
				body, _ := io.ReadAll(r.Body)
				answerJSON(http.StatusOK, string(body))(w, r)
			})
			f.publish(update(1, 1))
			conn := f.dial()
			if _, err := io.WriteString(conn, c.request); err != nil {
				t.Fatal(err)
			}
			// This side keeps the connection open, so the API answers and ends it by itself.
			resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(resp.Body)
			if err != nil || resp.StatusCode != c.status || (c.status == http.StatusOK && string(body) != c.entered) {
				t.Errorf("%s %q, %v", resp.Status, body, err)
			}
			if n := calls.Load(); (n == 1) != (c.status == http.StatusOK) {
				t.Errorf("participation was called %d times", n)
			}
			if _, err := io.Copy(io.Discard, conn); err != nil {
				t.Errorf("the connection stays open: %v", err)
			}
		})
	}
}

// dial connects to the API, for at most 20 s.
func (f *forwarding) dial() net.Conn {
	f.t.Helper()
	conn, err := (&net.Dialer{}).DialContext(f.t.Context(), "tcp", strings.TrimPrefix(f.base, "http://"))
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		f.t.Fatal(err)
	}
	return conn
}
