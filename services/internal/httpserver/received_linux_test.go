package httpserver

import (
	"bufio"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/rafflecast/rafflecast/services/internal/socket"
)

// answerSize is more than a client takes that does not read, and less than the server's
// kernel takes for it.
const answerSize = 128 << 10

// unread asks for two answers, and returns the connection once the first was written. asked
// has an element for each request that is handled after it.
func unread(t *testing.T) (client net.Conn, asked chan struct{}) {
	t.Helper()
	asked = make(chan struct{}, 2)
	written := make(chan struct{}, 2)
	answer := strings.Repeat("x", answerSize)
	s := New(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked <- struct{}{}
		_, _ = io.WriteString(w, answer)
	}))
	s.ConnState = func(c net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			if err := c.(*net.TCPConn).SetWriteBuffer(4 * answerSize); err != nil {
				t.Error(err)
			}
		case http.StateIdle:
			written <- struct{}{}
		case http.StateActive, http.StateHijacked, http.StateClosed:
		}
	}
	AwaitReceived(s)
	l, ended := listen(t), make(chan error, 1)
	go func() { ended <- Serve(s, l) }()
	t.Cleanup(func() { s.Close(); <-ended })
	client = dial(t, "127.0.0.1", l.Addr().String())
	if err := client.(*net.TCPConn).SetReadBuffer(4096); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(client, strings.Repeat("GET / HTTP/1.1\r\nHost: h\r\n\r\n", 2)); err != nil {
		t.Fatal(err)
	}
	<-asked
	<-written
	return client, asked
}

func TestAwaitReceived_KeepsTheNextRequestUntilTheAnswerIsReceived(t *testing.T) {
	t.Parallel()
	client, asked := unread(t)
	select {
	case <-asked:
		t.Error("the second request is answered although the first answer is not received")
	case <-time.After(100 * time.Millisecond):
	}
	r := bufio.NewReader(client)
	for i := range 2 {
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatal(err)
		}
		n, err := io.Copy(io.Discard, resp.Body)
		if resp.Body.Close(); n != answerSize || err != nil {
			t.Errorf("answer %d has %d bytes, %v", i+1, n, err)
		}
	}
}

func TestAwaitReceived_EndsWithTheConnection(t *testing.T) {
	t.Parallel()
	client, asked := unread(t)
	if err := client.(*net.TCPConn).SetLinger(0); err != nil { // the server is told
		t.Fatal(err)
	}
	client.Close()
	select {
	case <-asked: // it goes on, and will find the connection closed
	case <-time.After(10 * time.Second):
		t.Error("it waits for a client that has gone")
	}
}

// connect returns both ends of a connection. The server's kernel takes what the client's does
// not.
func connect(t *testing.T) (server, client net.Conn) {
	t.Helper()
	l := listen(t)
	defer l.Close()
	client = dial(t, "127.0.0.1", l.Addr().String())
	if err := client.(*net.TCPConn).SetReadBuffer(4096); err != nil {
		t.Fatal(err)
	}
	var err error
	if server, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	if err := server.(*net.TCPConn).SetWriteBuffer(4 * answerSize); err != nil {
		t.Fatal(err)
	}
	return server, client
}

// unreceived returns the server's end of a connection with bytes that its client does not read.
func unreceived(t *testing.T) net.Conn {
	t.Helper()
	server, _ := connect(t)
	_, err := server.Write(make([]byte, answerSize))
	if err != nil {
		t.Fatal(err)
	}
	return server
}

// What was sent before the first request is no answer: of TLS, there is.
func TestAwaitReceived_DoesNotDelayTheFirstRequest(t *testing.T) {
	t.Parallel()
	s, c := New(http.NotFoundHandler()), unreceived(t)
	AwaitReceived(s)
	goesOn := make(chan struct{})
	go func() {
		s.ConnState(c, http.StateNew)
		s.ConnState(c, http.StateActive)
		close(goesOn)
	}()
	select {
	case <-goesOn:
	case <-time.After(10 * time.Second):
		t.Error("the first request waits")
		c.Close()
		<-goesOn
	}
}

// Of HTTP/2, another request may be answered before an answer is received, and of HTTP/1 not.
func TestAwaitReceived_LeavesHTTP2Alone(t *testing.T) {
	t.Parallel()
	certified := httptest.NewTLSServer(http.NotFoundHandler())
	defer certified.Close()
	roots := certified.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	for protocol, waits := range map[string]bool{"h2": false, "http/1.1": true} {
		server, client := connect(t)
		secured := tls.Server(server, &tls.Config{Certificates: certified.TLS.Certificates, NextProtos: []string{protocol}})
		shaken := make(chan error, 1)
		go func() {
			shaken <- tls.Client(client, &tls.Config{RootCAs: roots, ServerName: "example.com", NextProtos: []string{protocol}}).Handshake()
		}()
		_, err := secured.Write(make([]byte, answerSize))
		if err := errors.Join(err, <-shaken); err != nil {
			t.Fatal(err)
		}
		s := New(http.NotFoundHandler())
		AwaitReceived(s)
		s.ConnState(secured, http.StateIdle)
		goesOn := make(chan struct{})
		go func() {
			s.ConnState(secured, http.StateActive)
			close(goesOn)
		}()
		if waits {
			select {
			case <-goesOn:
				t.Errorf("%s: the next request does not wait", protocol)
			case <-time.After(100 * time.Millisecond):
			}
		} else {
			select {
			case <-goesOn:
			case <-time.After(10 * time.Second):
				t.Errorf("%s: the next request waits", protocol)
			}
		}
		server.Close()
		<-goesOn
	}
}

func TestUnreceived_CountsWhatThePeerHasNotTaken(t *testing.T) {
	t.Parallel()
	c := unreceived(t)
	raw, err := c.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if n := socket.Unreceived(raw); n == 0 || n > answerSize {
		t.Errorf("of %d bytes that nobody reads, %d are not received", answerSize, n)
	}
	c.Close()
	if n := socket.Unreceived(raw); n != 0 {
		t.Errorf("of a closed connection, %d bytes are not received", n)
	}
}
