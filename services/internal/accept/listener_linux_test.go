package accept

import (
	"net"
	"testing"

	"github.com/rafflecast/rafflecast/services/test/testenv"
)

func TestListen_BoundsWhatTheKernelBuffers(t *testing.T) {
	t.Parallel()
	const size = 32 << 10
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	bounded := New(Config{WriteBuffer: size}).Listen(l)
	defer bounded.Close()
	client, err := new(net.Dialer).DialContext(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	server, err := bounded.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	if got := testenv.SendBuffer(t, client); got != 2*size {
		t.Errorf("the kernel buffers %d bytes, want %d", got, 2*size)
	}
}
