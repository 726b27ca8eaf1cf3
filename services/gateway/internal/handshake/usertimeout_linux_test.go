package handshake

import (
	"bufio"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rafflecast/rafflecast/services/internal/socket"
)

// userTimeoutOf returns the user timeout of this process's end of a connection that c is
// the other end of.
func userTimeoutOf(t *testing.T, c net.Conn) time.Duration {
	t.Helper()
	port := c.LocalAddr().(*net.TCPAddr).Port
	for fd := range 1 << 12 {
		if peer, err := unix.Getpeername(fd); err == nil {
			own, _ := unix.Getsockname(fd)
			at, isIPv4 := peer.(*unix.SockaddrInet4)
			if _, ok := own.(*unix.SockaddrInet4); ok && isIPv4 && at.Port == port {
				ms, err := unix.GetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT)
				if err != nil {
					t.Fatal(err)
				}
				return time.Duration(ms) * time.Millisecond
			}
		}
	}
	t.Fatal("the connection's other end was not found")
	return 0
}

// Whoever serves a connection, its client that has vanished is bounded as the port says.
func TestListener_ConnectionsKeepThePortsUserTimeout(t *testing.T) {
	t.Parallel()
	y := setup(t)
	const patience = 7 * time.Minute
	raw, err := y.inner.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if err := socket.SetUserTimeout(raw, patience); err != nil {
		t.Fatal(err)
	}
	for name, full := range map[string]bool{"served by the hub": false, "served by net/http": true} {
		y.full.Store(full)
		c := dial(t, y.address)
		if _, err := io.WriteString(c, "GET /api/v1/raffles/1/subscribe HTTP/1.1\r\nHost: a\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 5)
		r := bufio.NewReader(c)
		for line := "x"; strings.TrimSpace(line) != ""; {
			if line, err = r.ReadString('\n'); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := io.ReadFull(r, b); err != nil {
			t.Fatal(err)
		}
		if d := userTimeoutOf(t, c); d != patience {
			t.Errorf("%s: %v", name, d)
		}
	}
}
