package fanout

import (
	"bytes"
	"net"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rafflecast/rafflecast/services/gateway/internal/odds"
	"github.com/rafflecast/rafflecast/services/gateway/internal/sse"
	"github.com/rafflecast/rafflecast/services/test/testenv"
)

// otherEnd returns this process's descriptor of a connection that c is the other end of.
func otherEnd(t *testing.T, c net.Conn) (fd int) {
	t.Helper()
	port := c.LocalAddr().(*net.TCPAddr).Port
	testenv.Eventually(t, "the connection's other end is found", 10*time.Second, func() bool {
		for fd = range 1 << 12 {
			peer, err := unix.Getpeername(fd)
			if at, ok := peer.(*unix.SockaddrInet4); err == nil && ok && at.Port == port {
				return true
			}
		}
		return false
	})
	return fd
}

// Case A13: the kernel ends a connection whose window was too small for a whole segment
// for the user timeout, although its client reads all the time. The user timeout is much
// less here than the client needs, and its write timeout much more.
func TestHub_SlowClientThatReadsStays(t *testing.T) {
	t.Parallel()
	cfg := testConfig()
	cfg.SendBuffer, cfg.ConflationInterval, cfg.Heartbeat = 16<<10, time.Millisecond, 50*time.Millisecond
	hub, address := runHub(t, cfg, func() Stream {
		return Stream{Subscriptions: []Subscription{to(1)}, Opening: []byte(opening), Done: func(Reason) {}}
	})
	dialer := net.Dialer{Control: func(_, _ string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) { _ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, 4096) })
	}}
	client, err := dialer.DialContext(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if _, err := client.Write([]byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	buffer := make([]byte, 16<<10)
	read := func() {
		t.Helper()
		client.SetReadDeadline(time.Now().Add(20 * time.Second))
		if _, err := client.Read(buffer); err != nil {
			t.Fatalf("a client that reads was disconnected: %v", err)
		}
	}
	read()
	const patience = time.Second
	fd := otherEnd(t, client)
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(patience.Milliseconds())); err != nil {
		t.Fatal(err)
	}
	bounded := func() bool {
		ms, err := unix.GetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT)
		if err != nil {
			t.Error(err)
		}
		return ms != 0
	}
	publish, slowly := time.NewTicker(5*time.Millisecond), time.NewTicker(400*time.Millisecond)
	defer publish.Stop()
	defer slowly.Stop()
	data := bytes.Repeat([]byte("x"), 2000)
	for version, reads := int64(0), 0; reads < 12; {
		select {
		case <-publish.C:
			version++
			u := update(1, version)
			u.Frame = sse.AppendEvent(nil, odds.ID(u), odds.Event, data)
			u.Body = u.Frame[bytes.IndexByte(u.Frame, '\n')+1:]
			cfg.Cache.Put(u)
			hub.Publish(u)
		case <-slowly.C:
			reads++
			read()
		}
	}
	if bounded() {
		t.Error("the kernel bounds a client that was slow all the time")
	}
	testenv.Eventually(t, "the kernel bounds the client again once it has read everything", 20*time.Second, func() bool {
		read() // heartbeats come
		return bounded()
	})
}
