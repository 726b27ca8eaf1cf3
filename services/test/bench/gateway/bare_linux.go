package bench

import (
	"bytes"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/rafflecast/rafflecast/services/internal/socket"
	"github.com/rafflecast/rafflecast/services/test/bench/internal/measure"
)

// bare is the least that a Go server can do: one goroutine, one epoll, a prepared
// frame, and a send to each socket. It parses a request only as far as the raffle's
// id, ignores that a socket does not take a whole frame, and has no timeouts.
type bare struct {
	epoll   int
	listen  int
	sockets map[int64][]int32 // by raffle
	input   []byte            // of standard input, not yet a whole line
}

// ServeBare serves until standard input ends.
func ServeBare() error {
	b := &bare{sockets: make(map[int64][]int32)}
	var err error
	if b.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return err
	}
	if b.listen, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0); err != nil {
		return err
	}
	if err := unix.Bind(b.listen, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return err
	}
	if err := unix.Listen(b.listen, 4096); err != nil {
		return err
	}
	at, err := unix.Getsockname(b.listen)
	if err != nil {
		return err
	}
	measure.Ready(at.(*unix.SockaddrInet4).Port)
	b.register(b.listen)
	b.register(0)
	var events [256]unix.EpollEvent
	for {
		n, err := unix.EpollWait(b.epoll, events[:], -1)
		if err != nil && err != unix.EINTR {
			return err
		}
		for _, e := range events[:max(n, 0)] {
			b.handle(int(e.Fd))
		}
	}
}

// register waits for a file descriptor to become readable.
func (b *bare) register(fd int) {
	_ = unix.EpollCtl(b.epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)})
}

func (b *bare) handle(fd int) {
	switch fd {
	case b.listen:
		for {
			c, _, err := unix.Accept4(b.listen, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
			if err != nil {
				return
			}
			_ = unix.SetsockoptInt(c, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
			b.register(c)
		}
	case 0:
		b.readCommands()
	default:
		b.readRequest(int32(fd))
	}
}

func (b *bare) readCommands() {
	var buf [4096]byte
	n, err := unix.Read(0, buf[:])
	if n <= 0 && err == nil {
		os.Exit(0)
	}
	b.input = append(b.input, buf[:max(n, 0)]...)
	for {
		line, rest, whole := bytes.Cut(b.input, []byte("\n"))
		if !whole {
			return
		}
		if text := answer(string(line), b.publish); text != "" {
			fmt.Println(text)
		}
		b.input = rest
	}
}

func (b *bare) readRequest(fd int32) {
	var buf [1024]byte
	n, err := unix.Read(int(fd), buf[:])
	var raffleID int64
	if err == nil && n > 0 && bytes.HasSuffix(buf[:n], []byte("\r\n\r\n")) {
		_, _ = fmt.Sscanf(string(buf[:n]), "GET /api/v1/raffle/%d/subscribe", &raffleID)
	}
	if raffleID == 0 {
		_ = unix.Close(int(fd))
		return
	}
	head := []byte("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n")
	_, _ = socket.Send(fd, append(head, frame(raffleID, 1)...))
	b.sockets[raffleID] = append(b.sockets[raffleID], fd)
}

func (b *bare) publish(raffleID, version int64) {
	prepared := frame(raffleID, version)
	for _, fd := range b.sockets[raffleID] {
		_, _ = socket.Send(fd, prepared)
	}
}
