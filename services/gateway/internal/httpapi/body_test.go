package httpapi

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// TestABodyIsBounded sends requests by hand, on real sockets, to an edge in front
// of a server that stands for participation.
func TestABodyIsBounded(t *testing.T) {
	t.Parallel()
	const enter = "POST /api/v1/raffle/1?memberId=7 HTTP/1.1\r\nHost: x\r\n"
	chunk := fmt.Sprintf("%x\r\n%s\r\n", maxBody, strings.Repeat(" ", maxBody))
	for name, c := range map[string]struct {
		request string
		status  int
		entered string
	}{
		"none of what is announced": {enter + "Content-Length: 100\r\n\r\n", http.StatusRequestTimeout, ""},
		"a part of it":              {enter + "Content-Length: 100\r\n\r\n{", http.StatusRequestTimeout, ""},
		"a chunk that never comes":  {enter + "Transfer-Encoding: chunked\r\n\r\n", http.StatusRequestTimeout, ""},
		"a body for a page":         {"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n", http.StatusRequestTimeout, ""},
		"a body for a stream":       {"GET " + subscribe1 + " HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n", http.StatusRequestTimeout, ""},
		"too large":                 {enter + "Content-Length: 16385\r\n\r\n" + strings.Repeat(" ", maxBody+1), http.StatusRequestEntityTooLarge, ""},
		"too large in chunks":       {enter + "Transfer-Encoding: chunked\r\n\r\n" + chunk + chunk, http.StatusRequestEntityTooLarge, ""},
		"no chunk":                  {enter + "Transfer-Encoding: chunked\r\n\r\nx\r\n", http.StatusBadRequest, ""},
		"as large as may be":        {enter + "Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk + "0\r\n\r\n", http.StatusOK, strings.Repeat(" ", maxBody)},
		"whole":                     {enter + "Connection: close\r\nContent-Length: 2\r\n\r\n{}", http.StatusOK, "{}"},
		"none":                      {enter + "Connection: close\r\n\r\n", http.StatusOK, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var calls atomic.Int32
			timeout := time.Minute
			if c.status == http.StatusRequestTimeout {
				timeout = 50 * time.Millisecond
			}
			conn := dialEdge(t, timeout, func(w http.ResponseWriter, r *http.Request) {
				calls.Add(1)
				body, _ := io.ReadAll(r.Body)
				_, _ = w.Write(body)
			})
			if _, err := io.WriteString(conn, c.request); err != nil {
				t.Fatal(err)
			}
			// The connection stays open on this side, so the answer and the end are the
			// edge's doing.
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

// dialEdge connects to an edge, which forwards entries to a handler, and takes
// bodies that arrive within the timeout.
func dialEdge(t *testing.T, timeout time.Duration, participation http.HandlerFunc) net.Conn {
	t.Helper()
	behind := httptest.NewServer(participation)
	t.Cleanup(behind.Close)
	to, err := url.Parse(behind.URL)
	if err != nil {
		t.Fatal(err)
	}
	feed := newFakeFeed()
	feed.put(update(1, 1))
	edge := New(Config{Participation: to, BodyTimeout: timeout}, feed, nil)
	front := httptest.NewServer(edge.Handler(http.NotFoundHandler()))
	t.Cleanup(front.Close)
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", front.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return conn
}
