package measure

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Dial opens a connection to a port of loopback and asks for the stream of a raffle's
// odds. n counts the connections, from 1: they come from many addresses, since one
// address does not have enough ports. If receiveBuffer is not 0, that is the size of the
// socket's receive buffer in bytes.
func Dial(n, port int, raffleID int64, receiveBuffer int) (fd int, err error) {
	fd, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, fmt.Errorf("make a socket: %w", err)
	}
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1)
	source := [4]byte{127, byte(1 + n/200%200), byte(n / 40_000), byte(1 + n%200)}
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: source}); err != nil {
		return 0, fmt.Errorf("bind to %v: %w", source, err)
	}
	if receiveBuffer > 0 {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, receiveBuffer)
	}
	if err := unix.Connect(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}, Port: port}); err != nil {
		return 0, fmt.Errorf("connect from %v: %w", source, err)
	}
	request := fmt.Appendf(
		nil,
		"GET /api/v1/raffle/%d/subscribe HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n",
		raffleID,
	)
	if _, err := unix.Write(fd, request); err != nil {
		return 0, fmt.Errorf("send a request: %w", err)
	}
	return fd, nil
}
