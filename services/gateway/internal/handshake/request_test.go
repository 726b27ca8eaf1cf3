package handshake

import (
	"bufio"
	"net"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"
)

const plain = "GET /api/v1/raffle/1/subscribe HTTP/1.1\r\nHost: localhost:8080\r\nAccept: text/event-stream\r\n\r\n"

func TestRequest_TakesPlainOnesOnly(t *testing.T) {
	t.Parallel()
	with := func(field string) string { return strings.TrimSuffix(plain, "\r\n") + field + "\r\n\r\n" }
	long := with("Last-Event-ID: " + strings.Repeat("1", maxRequest-len(plain)-20))
	for b, want := range map[string]bool{
		plain: true,
		long:  true,
		"GET /api/v1/raffles/subscribe?id=1&id=2 HTTP/1.1\r\nHost: [::1]:80\r\n\r\n": true,
		with("Last-Event-ID: 1:2"):        true,
		with("X-Forwarded-For: 10.0.0.1"): true,
		with("Connection: keep-alive"):    true,

		"":                                 false,
		plain[:len(plain)-1]:               false,
		plain + "G":                        false, // another one follows
		plain + plain:                      false,
		with("Content-Length: 0"):          false,
		with("Content-Length: 5"):          false,
		with("Transfer-Encoding: chunked"): false,
		with("transfer-encoding: x"):       false,
		with("Expect: 100-continue"):       false,
		with("Upgrade: websocket"):         false,
		with("Host: other"):                false,
		with("host: other"):                false,
		with("X: a\r\n b"):                 false, // folded
		with("X: \ta"):                     false,
		with("X:a"):                        false,
		with("X : a"):                      false,
		with("X_Y: a"):                     false, // proxies differ about underscores
		with(": a"):                        false,
		with("X: \x80"):                    false,
		with("X: a\x00b"):                  false,
		with("X: a\rb"):                    false,
		with("X: a\nY: b"):                 false,
		strings.Replace(plain, "Host: localhost:8080\r\n", "", 1):    false,
		strings.Replace(plain, "localhost:8080", "", 1):              false,
		strings.Replace(plain, "localhost:8080", "a b", 1):           false,
		strings.Replace(plain, "localhost:8080", "a/b", 1):           false,
		strings.Replace(plain, "HTTP/1.1", "HTTP/1.0", 1):            false,
		strings.Replace(plain, "HTTP/1.1", "HTTP/2.0", 1):            false,
		strings.Replace(plain, "GET ", "HEAD ", 1):                   false,
		strings.Replace(plain, "GET ", "GET  ", 1):                   false,
		strings.Replace(plain, "GET /api", "GET http://evil/api", 1): false,
		strings.Replace(plain, "/subscribe", "/subscribe x", 1):      false,
		strings.Replace(plain, "/raffle/1", "/raffle%2F1", 1):        false,
		strings.ReplaceAll(plain, "\r\n", "\n"):                      false,
		strings.Replace(plain, "\r\nAccept", "\nAccept", 1):          false,
		"\r\n" + plain: false,
	} {
		if got := newRequest().parse([]byte(b)) != nil; got != want {
			t.Errorf("%.120q: plain %t", b, got)
		}
	}
}

// What one request leaves in memory must not show in the next.
func TestRequest_IsIndependentOfTheOneBefore(t *testing.T) {
	t.Parallel()
	r := newRequest()
	first := r.parse([]byte(strings.Replace(plain, "Accept", "Cookie", 1)))
	second := r.parse([]byte(plain))
	if first.Header.Get("Cookie") == "" || second.Header.Get("Cookie") != "" || second.Header.Get("Accept") == "" {
		t.Errorf("headers %v and %v", first.Header, second.Header)
	}
}

// FuzzRequest_MeansWhatItMeansToNetHTTP: whatever is taken, an http.Server takes as one
// request, with the same meaning.
func FuzzRequest_MeansWhatItMeansToNetHTTP(f *testing.F) {
	for _, seed := range []string{
		plain, plain + plain, plain + "x",
		"GET /api/v1/raffles/subscribe?id=1&id=%32;x HTTP/1.1\r\nHost: a\r\nLast-Event-ID: 1:e:5\r\n\r\n",
		"GET /api/v1/raffle/../x?# HTTP/1.1\r\nhost: a\r\nCONNECTION: close\r\n\r\n",
		"GET /api/v1/raffle/1/subscribe HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"GET /api/v1/raffle/1/subscribe HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc",
		"GET /api/v1/raffle/1/subscribe HTTP/1.1\nHost: a\n\n",
		"GET /api/v1/raffle/1/subscribe HTTP/1.1\r\nHost: a\r\nX: b\r\n c\r\n\r\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		got := newRequest().parse(b)
		if got == nil {
			return
		}
		served := serve(b)
		if len(served) != 1 {
			t.Fatalf("%q: net/http serves %d requests", b, len(served))
		}
		type meaning struct {
			method, uri, url, host, proto string
			header                        http.Header
			length                        int64
			closes                        bool
		}
		of := func(r *http.Request) meaning {
			return meaning{r.Method, r.RequestURI, r.URL.String(), r.Host, r.Proto, r.Header, r.ContentLength, r.Close}
		}
		if got, want := of(got), of(served[0]); !reflect.DeepEqual(got, want) {
			t.Errorf("%q:\n got %+v\nwant %+v", b, got, want)
		}
	})
}

// serve returns the requests that an http.Server makes of b.
func serve(b []byte) []*http.Request {
	client, server := net.Pipe()
	requests := make(chan *http.Request, len(b))
	s := &http.Server{
		ReadHeaderTimeout: 10 * time.Second,
		Handler:           http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { requests <- r }),
	}
	ended := make(chan struct{})
	s.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateClosed {
			close(ended)
		}
	}
	l := &oneConn{conn: make(chan net.Conn, 1)}
	l.conn <- server
	go s.Serve(l)
	go client.Write(b)
	if resp, err := http.ReadResponse(bufio.NewReader(client), nil); err == nil {
		resp.Body.Close()
	}
	client.Close()
	<-ended
	s.Close()
	close(requests)
	var served []*http.Request
	for r := range requests {
		served = append(served, r)
	}
	return served
}

// oneConn is a listener with one connection.
type oneConn struct{ conn chan net.Conn }

func (l *oneConn) Accept() (net.Conn, error) {
	c, ok := <-l.conn
	if !ok {
		return nil, net.ErrClosed
	}
	return c, nil
}
func (l *oneConn) Close() error   { close(l.conn); return nil }
func (l *oneConn) Addr() net.Addr { return &net.TCPAddr{} }
