package httpserver

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"testing"
	"time"
)

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestServe_ClosedIsNoError(t *testing.T) {
	t.Parallel()
	before := New(http.NotFoundHandler())
	before.Close()
	if err := Serve(before, listen(t)); err != nil {
		t.Errorf("closed before it serves: %v", err)
	}
	s, l, ended := New(http.NotFoundHandler()), listen(t), make(chan error, 1)
	go func() { ended <- Serve(s, l) }()
	resp, err := http.Get("http://" + l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	s.Close()
	if err := <-ended; err != nil {
		t.Errorf("closed while it serves: %v", err)
	}
}

// A client that asks again and again, and never reads, is disconnected.
func TestNew_EndsClientsThatNeverRead(t *testing.T) {
	t.Parallel()
	answer := bytes.Repeat([]byte("x"), 1<<20)
	s, l, ended := New(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(answer) })), listen(t), make(chan error, 1)
	s.WriteTimeout /= 100 // the test can't wait for so long
	go func() { ended <- Serve(s, l) }()
	t.Cleanup(func() { s.Close(); <-ended })
	for range 20 {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
			t.Fatal(err)
		}
		for err == nil { // until it is closed with answers that were not read, which resets it
			_, err = c.Write([]byte("GET / HTTP/1.1\r\nHost: h\r\n\r\n"))
		}
		if errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatal("the connection stays open")
		}
	}
}

// A client that begins a request and does not go on is disconnected.
func TestNew_EndsClientsThatSendHalfARequest(t *testing.T) {
	t.Parallel()
	s, l, ended := New(http.NotFoundHandler()), listen(t), make(chan error, 1)
	if s.ReadHeaderTimeout != 5*time.Second {
		t.Errorf("a header may take %v", s.ReadHeaderTimeout)
	}
	s.ReadHeaderTimeout /= 50 // the test can't wait for so long
	go func() { ended <- Serve(s, l) }()
	t.Cleanup(func() { s.Close(); <-ended })
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Write([]byte("GET / HTTP/1.1\r\nHost: h\r\n")); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, c); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("the connection stays open")
	}
}

func TestServe_ListenerFails(t *testing.T) {
	t.Parallel()
	l := listen(t)
	l.Close()
	if err := Serve(New(http.NotFoundHandler()), l); err == nil {
		t.Error("no error")
	}
}

// A client that asks for much and reads nothing is cut off.
func TestNew_BoundsAnAnswerThatIsNotRead(t *testing.T) {
	t.Parallel()
	ended := make(chan error, 1)
	s := New(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		var err error
		for chunk := make([]byte, 1<<20); err == nil; {
			_, err = w.Write(chunk)
		}
		ended <- err
	}))
	if s.WriteTimeout != responseTimeout {
		t.Errorf("the write timeout is %v", s.WriteTimeout)
	}
	s.WriteTimeout = 100 * time.Millisecond
	l, served := listen(t), make(chan error, 1)
	go func() { served <- Serve(s, l) }()
	t.Cleanup(func() { s.Close(); <-served })
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write([]byte("GET / HTTP/1.1\r\nHost: h\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-ended:
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("the answer ended with %v", err)
		}
	case <-time.After(20 * time.Second):
		t.Error("the answer has no end")
	}
}
