package bench

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// client is any number of watching clients in one goroutine.
type client struct {
	epoll  int
	conns  map[int]*watcher // by file descriptor
	next   int              // source address to use
	buf    []byte
	events [512]unix.EpollEvent

	// What is measured now: when each connection gets the version, after from.
	version   int64
	pending   int
	from      time.Time
	latencies []time.Duration
}

// watcher is one connection.
type watcher struct {
	raffle  int64
	version int64 // newest that came
}

func newClient() (*client, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("make an epoll descriptor: %w", err)
	}
	return &client{epoll: fd, conns: make(map[int]*watcher), buf: make([]byte, 64<<10)}, nil
}

// inFlight is how many connections are made at once.
const inFlight = 256

// dial opens n connections, of which raffle names what each watches, and returns
// how long it took until all had their first event.
func (c *client) dial(port, n int, raffle func(i int) int64) (time.Duration, error) {
	c.expect(1, 0)
	for i := 0; i < n || c.pending > 0; {
		for ; i < n && c.pending < inFlight; i++ {
			if err := c.open(port, raffle(i), 0); err != nil {
				return 0, err
			}
			c.pending++
		}
		if err := c.poll(10 * time.Second); err != nil {
			return 0, fmt.Errorf("%d of %d connected: %w", len(c.conns)-c.pending, n, err)
		}
	}
	return time.Since(c.from), nil
}

// open makes one connection; receive bounds what the kernel takes for it, where
// it is not 0, and it is not read then.
func (c *client) open(port int, raffleID int64, receive int) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("make a socket: %w", err)
	}
	// Many source addresses, as from many clients; the ports of one don't suffice.
	c.next++
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1)
	source := [4]byte{127, byte(1 + c.next/200%200), byte(c.next / 40_000), byte(1 + c.next%200)}
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: source}); err != nil {
		return fmt.Errorf("bind to %v: %w", source, err)
	}
	if receive > 0 {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, receive)
	}
	if err := unix.Connect(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}, Port: port}); err != nil {
		return fmt.Errorf("connect from %v: %w", source, err)
	}
	request := fmt.Appendf(nil, "GET /api/v1/raffle/%d/subscribe HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n", raffleID)
	if _, err := unix.Write(fd, request); err != nil {
		return fmt.Errorf("send a request: %w", err)
	}
	c.conns[fd] = &watcher{raffle: raffleID}
	if receive > 0 {
		return nil
	}
	return unix.EpollCtl(c.epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)})
}

// close closes all connections.
func (c *client) close() {
	for fd := range c.conns {
		_ = unix.Close(fd)
	}
	clear(c.conns)
}

// drop closes n of the connections and returns how many they were.
func (c *client) drop(n int) int {
	dropped := 0
	for fd := range c.conns {
		if dropped == n {
			break
		}
		_ = unix.Close(fd)
		delete(c.conns, fd)
		dropped++
	}
	return dropped
}

// expect begins to measure how a version comes to so many connections.
func (c *client) expect(version int64, pending int) {
	c.version, c.pending, c.from, c.latencies = version, pending, time.Now(), c.latencies[:0]
}

// wait reads until all that was expected has come.
func (c *client) wait() error {
	for c.pending > 0 {
		if err := c.poll(10 * time.Second); err != nil {
			return fmt.Errorf("version %d is missing on %d connections: %w", c.version, c.pending, err)
		}
	}
	return nil
}

var errNothing = errors.New("nothing came")

// poll reads what has come, and waits for it where nothing has.
func (c *client) poll(timeout time.Duration) error {
	n, err := unix.EpollWait(c.epoll, c.events[:], int(timeout.Milliseconds()))
	if n == 0 {
		return errNothing
	}
	if err != nil && !errors.Is(err, unix.EINTR) {
		return err
	}
	for _, e := range c.events[:max(n, 0)] {
		if err := c.read(int(e.Fd)); err != nil {
			return err
		}
	}
	return nil
}

func (c *client) read(fd int) error {
	n, err := unix.Read(fd, c.buf)
	if err != nil || n == 0 {
		return fmt.Errorf("a connection ended: %w", errors.Join(err, errNothing))
	}
	w := c.conns[fd]
	version := newestVersion(c.buf[:n])
	if version == 0 {
		return nil // a heartbeat
	}
	if w.version < c.version && version >= c.version {
		c.pending--
		c.latencies = append(c.latencies, time.Since(c.from))
	}
	w.version = version
	return nil
}

// newestVersion returns the version of the last event in b, 0 where there is none.
func newestVersion(b []byte) int64 {
	at := bytes.LastIndex(b, []byte("\nid: "))
	if at < 0 && bytes.HasPrefix(b, []byte("id: ")) {
		at = -1
	} else if at < 0 {
		return 0
	}
	id, _, _ := bytes.Cut(b[at+5:], []byte("\n"))
	_, text, _ := bytes.Cut(id, []byte(":"))
	version, _ := strconv.ParseInt(string(text), 10, 64)
	return version
}

// percentile returns the share of the latencies of the last measurement.
func (c *client) percentile(share float64) time.Duration {
	slices.Sort(c.latencies)
	return c.latencies[min(len(c.latencies)-1, int(share*float64(len(c.latencies))))]
}
