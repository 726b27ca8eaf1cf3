package bench

import (
	"bytes"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/rafflecast/rafflecast/services/internal/socket"
)

// bare is the least that a Go server can do: one goroutine, one epoll, a frame
// that is ready, and a send to each socket. It reads a request only as far as to
// find the raffle, forgets who does not take a whole frame, and keeps no time.
type bare struct {
	epoll  int
	listen int
	topics map[int64][]int32
	told   []byte // of standard input, and not yet a whole line
}

// Bare serves until standard input ends.
func Bare() error {
	b := &bare{topics: make(map[int64][]int32)}
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
	fmt.Println("ready", at.(*unix.SockaddrInet4).Port)
	b.watch(b.listen)
	b.watch(0)
	var events [256]unix.EpollEvent
	for {
		n, err := unix.EpollWait(b.epoll, events[:], -1)
		if err != nil && err != unix.EINTR {
			return err
		}
		for _, e := range events[:max(n, 0)] {
			b.event(int(e.Fd))
		}
	}
}

func (b *bare) watch(fd int) {
	_ = unix.EpollCtl(b.epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)})
}

func (b *bare) event(fd int) {
	switch fd {
	case b.listen:
		for {
			c, _, err := unix.Accept4(b.listen, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
			if err != nil {
				return
			}
			_ = unix.SetsockoptInt(c, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
			b.watch(c)
		}
	case 0:
		b.command()
	default:
		b.request(int32(fd))
	}
}

func (b *bare) command() {
	var buf [4096]byte
	n, err := unix.Read(0, buf[:])
	if n <= 0 && err == nil {
		os.Exit(0)
	}
	b.told = append(b.told, buf[:max(n, 0)]...)
	for {
		line, rest, whole := bytes.Cut(b.told, []byte("\n"))
		if !whole {
			return
		}
		if text := answer(string(line), b.publish); text != "" {
			fmt.Println(text)
		}
		b.told = rest
	}
}

func (b *bare) request(fd int32) {
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
	b.topics[raffleID] = append(b.topics[raffleID], fd)
}

func (b *bare) publish(raffleID, version int64) {
	ready := frame(raffleID, version)
	for _, fd := range b.topics[raffleID] {
		_, _ = socket.Send(fd, ready)
	}
}
