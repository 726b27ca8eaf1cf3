package gateway

import (
	"io"
	"net"
	"net/http"
	"testing"
	"time"
)

func TestBoundedListener_ClosesConnectionsBeyondLimit(t *testing.T) {
	t.Parallel()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	refused, detached := make(chan struct{}, 100), 1
	accepted := &acceptedConns{limit: 3, detached: func() int { return detached }, refused: func() { refused <- struct{}{} }}
	server := &http.Server{Handler: http.NotFoundHandler(), ConnState: accepted.onState}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(&boundedListener{l, accepted}) }()
	t.Cleanup(func() { server.Close(); <-ended })
	open := func() net.Conn {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		c.SetDeadline(time.Now().Add(10 * time.Second))
		return c
	}
	answered := func(c net.Conn) bool {
		io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		n, _ := c.Read(make([]byte, 12))
		return n > 0
	}
	for i, want := range []bool{true, true, false, false} { // one of the three is detached
		if c := open(); answered(c) != want {
			t.Errorf("connection %d: answered %t", i+1, !want)
		}
	}
	if len(refused) != 2 {
		t.Errorf("%d refusals were counted", len(refused))
	}
}

func TestAcceptLimit_KeepsFilesBack(t *testing.T) {
	t.Parallel()
	for files, want := range map[int]int{0: 0, 10: 1, 1000: 936, 20000: 19000} {
		if got := acceptLimit(files); got != want {
			t.Errorf("%d files: %d", files, got)
		}
	}
}
