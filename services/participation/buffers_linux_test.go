package participation_test

import (
	"fmt"
	"net"
	"testing"

	"github.com/rafflecast/rafflecast/services/test/testenv"
)

// A client that reads nothing holds a bounded part of the kernel's memory.
func TestConnections_BoundWhatTheKernelBuffers(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for path, at := range map[string]net.Addr{"/api/v1/raffles": b.at.HTTP, "/metrics": b.at.Ops} {
		c, err := new(net.Dialer).DialContext(t.Context(), "tcp", at.String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", path)
		if _, err := c.Read(make([]byte, 1)); err != nil { // it is accepted
			t.Fatal(err)
		}
		if got := testenv.SendBuffer(t, c); got != 2*64<<10 {
			t.Errorf("%s: the kernel buffers %d bytes", path, got)
		}
	}
}
