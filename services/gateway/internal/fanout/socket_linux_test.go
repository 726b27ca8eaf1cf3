package fanout

import (
	"io"
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A client that sends something just before its stream ends still gets all of it: the
// kernel would discard what was written if something were left unread at the close.
func TestCloseSocket_DeliversWhatWasWritten(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	client, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	server, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	fd, err := detach(server)
	if err != nil {
		t.Fatal(err)
	}
	client.Write([]byte("unread"))
	if n, err := unix.Poll([]unix.PollFd{{Fd: fd, Events: unix.POLLIN}}, 10_000); n != 1 || err != nil {
		t.Fatalf("nothing to read: %v", err)
	}
	sent := 0
	for frame := make([]byte, 4096); ; { // more than the client's side has room for
		n, err := send(fd, frame)
		if err != nil {
			t.Fatal(err)
		}
		if sent += n; n < len(frame) {
			break
		}
	}
	closeSocket(fd, false)
	client.SetDeadline(time.Now().Add(10 * time.Second))
	if got, err := io.ReadAll(client); len(got) != sent || err != nil {
		t.Errorf("got %d of %d bytes, %v", len(got), sent, err)
	}
}
