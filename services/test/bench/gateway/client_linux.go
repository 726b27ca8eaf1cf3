package bench

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rafflecast/rafflecast/services/test/bench/internal/measure"
)

// client is any number of clients that watch raffles, in one goroutine. It parses
// events by itself, since a library's cost per event would be a large part of what
// is measured.
type client struct {
	epoll  int
	conns  map[int]*connection // by file descriptor
	opened int                 // connections, ever
	buf    []byte
	events [512]unix.EpollEvent

	// What is measured: when each connection receives a version.
	version   int64
	pending   int // connections that have not received it
	start     time.Time
	latencies []time.Duration // since start, of those that have
}

// connection watches one raffle.
type connection struct {
	version int64 // the newest that was received
}

func newClient() (*client, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("make an epoll descriptor: %w", err)
	}
	return &client{epoll: fd, conns: make(map[int]*connection), buf: make([]byte, 64<<10)}, nil
}

// maxDialing bounds the connections that are being opened at once.
const maxDialing = 256

// dial opens n connections, of which connection i watches raffle(i), and returns how
// long it took until all had their first event.
func (c *client) dial(port, n int, raffle func(i int) int64) (time.Duration, error) {
	c.expect(1, 0)
	for i := 0; i < n || c.pending > 0; {
		for ; i < n && c.pending < maxDialing; i++ {
			if err := c.open(port, raffle(i), 0); err != nil {
				return 0, err
			}
			c.pending++
		}
		if err := c.poll(10 * time.Second); err != nil {
			return 0, fmt.Errorf("%d of %d connected: %w", len(c.conns)-c.pending, n, err)
		}
	}
	return time.Since(c.start), nil
}

// open opens one connection. If receiveBuffer is not 0, that is the size of the
// socket's receive buffer in bytes, and the connection is never read.
func (c *client) open(port int, raffleID int64, receiveBuffer int) error {
	c.opened++
	fd, err := measure.Dial(c.opened, port, raffleID, receiveBuffer)
	if err != nil {
		return err
	}
	c.conns[fd] = &connection{}
	if receiveBuffer > 0 {
		return nil
	}
	return unix.EpollCtl(c.epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)})
}

// closeAll closes all connections.
func (c *client) closeAll() {
	for fd := range c.conns {
		_ = unix.Close(fd)
	}
	clear(c.conns)
}

// closeSome closes up to n connections and returns how many it closed.
func (c *client) closeSome(n int) int {
	closed := 0
	for fd := range c.conns {
		if closed == n {
			break
		}
		_ = unix.Close(fd)
		delete(c.conns, fd)
		closed++
	}
	return closed
}

// expect begins to measure when as many connections as are pending receive a
// version.
func (c *client) expect(version int64, pending int) {
	c.version, c.pending, c.start, c.latencies = version, pending, time.Now(), c.latencies[:0]
}

// wait reads until no connection is pending.
func (c *client) wait() error {
	for c.pending > 0 {
		if err := c.poll(10 * time.Second); err != nil {
			return fmt.Errorf("version %d is missing on %d connections: %w", c.version, c.pending, err)
		}
	}
	return nil
}

var errTimeout = errors.New("nothing was received")

// poll reads what has been received, and waits for it if that is nothing.
func (c *client) poll(timeout time.Duration) error {
	n, err := unix.EpollWait(c.epoll, c.events[:], int(timeout.Milliseconds()))
	if n == 0 {
		return errTimeout
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
		return fmt.Errorf("a connection ended: %w", cmp.Or(err, io.EOF))
	}
	conn := c.conns[fd]
	version := newestVersion(c.buf[:n])
	if version == 0 {
		return nil // a heartbeat
	}
	if conn.version < c.version && version >= c.version {
		c.pending--
		c.latencies = append(c.latencies, time.Since(c.start))
	}
	conn.version = version
	return nil
}

// newestVersion returns the version of the last event with an id in b, 0 if there is
// none.
func newestVersion(b []byte) int64 {
	at := bytes.LastIndex(b, []byte("\nid: "))
	if at < 0 && bytes.HasPrefix(b, []byte("id: ")) {
		at = -1
	} else if at < 0 {
		return 0
	}
	id, _, _ := bytes.Cut(b[at+5:], []byte("\n"))
	version, _ := strconv.ParseInt(string(id[bytes.LastIndexByte(id, ':')+1:]), 10, 64)
	return version
}

// percentile returns the latency that a share of the connections did not exceed.
func (c *client) percentile(share float64) time.Duration {
	slices.Sort(c.latencies)
	return c.latencies[min(len(c.latencies)-1, int(share*float64(len(c.latencies))))]
}
