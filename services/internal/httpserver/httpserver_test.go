package httpserver

import (
	"net"
	"net/http"
	"testing"
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

func TestServe_ListenerFails(t *testing.T) {
	t.Parallel()
	l := listen(t)
	l.Close()
	if err := Serve(New(http.NotFoundHandler()), l); err == nil {
		t.Error("no error")
	}
}
