package gateway

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/rafflecast/rafflecast/services/test/testenv"
)

// A client that reads nothing holds a bounded part of the kernel's memory, at every port.
func TestGateway_BoundsWhatTheKernelBuffers(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	for name, c := range map[string]struct {
		at   net.Addr
		path string
		want int
	}{
		"the API":    {s.addrs.HTTP, "/api/v1/raffles", acceptBuffer},
		"the page":   {s.addrs.HTTP, "/", acceptBuffer},
		"a stream":   {s.addrs.HTTP, "/api/v1/raffles/1/subscribe", 16 << 10},
		"operations": {s.addrs.Ops, "/metrics", acceptBuffer},
	} {
		conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", c.at.String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", c.path)
		if _, err := http.ReadResponse(bufio.NewReader(conn), nil); err != nil { // it is accepted
			t.Fatal(err)
		}
		if got := testenv.SendBuffer(t, conn); got != 2*c.want {
			t.Errorf("%s: the kernel buffers %d bytes, want %d", name, got, 2*c.want)
		}
	}
}
