package testenv

import (
	"net"
	"os"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"
)

// SendBuffer returns how much the kernel buffers, in bytes, of what a server in this process
// sends on a connection, whose client's side is c. The kernel counts its own memory, too: it
// says twice what was asked for.
func SendBuffer(t testing.TB, c net.Conn) int {
	t.Helper()
	files, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		fd, err := strconv.Atoi(file.Name())
		if err != nil {
			continue
		}
		if !isAt(unix.Getpeername, fd, c.LocalAddr()) || !isAt(unix.Getsockname, fd, c.RemoteAddr()) {
			continue
		}
		size, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF)
		if err != nil {
			t.Fatal(err)
		}
		return size
	}
	t.Fatalf("no server in this process has a connection with %v", c.LocalAddr())
	return 0
}

// isAt reports whether a descriptor is a socket whose name is an address of IPv4.
func isAt(name func(int) (unix.Sockaddr, error), fd int, address net.Addr) bool {
	at, err := name(fd)
	v4, ok := at.(*unix.SockaddrInet4)
	tcp, isTCP := address.(*net.TCPAddr)
	return err == nil && ok && isTCP && v4.Port == tcp.Port && net.IP(v4.Addr[:]).Equal(tcp.IP)
}
