package bench

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"golang.org/x/sys/unix"

	"github.com/rafflecast/rafflecast/services/internal/socket"
	"github.com/rafflecast/rafflecast/services/test/bench/internal/measure"
)

// viewers are any number of viewers, in one goroutine and without an allocation per
// event, so that they take little of the CPU time that they share with what is measured.
type viewers struct {
	epoll    int
	port     int           // of the gateway
	patience time.Duration // for odds to arrive at every viewer
	opened   int           // connections, ever
	conns    []*viewer
	byFD     []*viewer // nil where a descriptor is no open connection of a viewer
	buf      []byte
	events   [512]unix.EpollEvent
	input    []byte // of standard input, not yet a whole line
	stopped  bool   // standard input has ended

	waiting  int  // viewers without their first event
	measured bool // ages are recorded
	since    time.Time
	pending  int                     // viewers without an update since then
	ages     *hdrhistogram.Histogram // of the updates, in µs
	faults   int
}

// viewer is a connection that watches one raffle.
type viewer struct {
	raffle  *raffle
	version int64  // the newest that was received
	rest    []byte // of an event that was received in part
	begun   bool   // the response's header was received
	updated bool   // in the time that is measured
	ended   bool
}

const (
	maxDialing = 256 // connections that are being opened at once
	maxAge     = 10 * time.Minute
	maxShown   = 20 // faults that are written out
)

// ServeViewers watches raffles at the gateway on a port of loopback, as the process on
// standard input commands, until that ends. Odds that do not arrive at every viewer within
// patience are an error. The viewers come before other processes by so many levels (nice)
// if that is permitted.
func ServeViewers(port, priority int, patience time.Duration) error {
	runtime.LockOSThread()
	given := 0
	if err := unix.Setpriority(unix.PRIO_PROCESS, unix.Gettid(), -priority); err == nil {
		given = priority
	}
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return fmt.Errorf("make an epoll descriptor: %w", err)
	}
	v := &viewers{epoll: fd, port: port, patience: patience, buf: make([]byte, 64<<10)}
	if err := v.register(0, unix.EPOLLIN); err != nil { // a command may need several reads
		return err
	}
	v.reset()
	measure.Ready(given)
	for !v.stopped {
		if err := v.poll(time.Minute); err != nil && !errors.Is(err, errNothing) {
			return err
		}
	}
	return nil
}

// reset forgets all viewers.
func (v *viewers) reset() {
	for fd, c := range v.byFD {
		if c != nil {
			_ = unix.Close(fd)
		}
	}
	v.conns, v.byFD = nil, nil
	v.waiting, v.measured, v.pending, v.faults = 0, false, 0, 0
	v.ages = hdrhistogram.New(1, maxAge.Microseconds(), 3)
}

func (v *viewers) register(fd int, events uint32) error {
	return unix.EpollCtl(v.epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: events, Fd: int32(fd)})
}

// open opens n viewers of each raffle and waits until all have its odds.
func (v *viewers) open(n int, raffles []int64) error {
	watched := make([]*raffle, len(raffles))
	for i, id := range raffles {
		watched[i] = &raffle{id: id}
	}
	for i := range n * len(raffles) {
		v.opened++
		c := &viewer{raffle: watched[i%len(watched)]}
		fd, err := measure.Dial(v.opened, v.port, c.raffle.id, 0)
		if err != nil {
			return err
		}
		v.conns = append(v.conns, c)
		v.byFD = append(v.byFD, make([]*viewer, max(0, fd+1-len(v.byFD)))...)
		v.byFD[fd] = c
		// Each arrival is reported once: reading leaves nothing, since buf is larger than what
		// a socket holds.
		if err := v.register(fd, unix.EPOLLIN|unix.EPOLLET); err != nil {
			return err
		}
		v.waiting++
		if err := v.await(func() bool { return v.waiting < maxDialing }); err != nil {
			return fmt.Errorf("viewer %d connects: %w", i+1, err)
		}
	}
	return v.await(func() bool { return v.waiting == 0 })
}

// begin begins to measure.
func (v *viewers) begin() {
	v.ages.Reset()
	for _, c := range v.conns {
		c.updated = false
	}
	v.measured, v.since, v.pending = true, time.Now(), len(v.conns)
}

// end ends measuring, once every viewer has had an update, and returns how long it took.
func (v *viewers) end() (time.Duration, error) {
	if err := v.await(func() bool { return v.pending == 0 }); err != nil {
		return 0, fmt.Errorf("%d of %d viewers had no update: %w", v.pending, len(v.conns), err)
	}
	v.measured = false
	return time.Since(v.since), nil
}

// awaitFinal waits until every viewer has its raffle's final version.
func (v *viewers) awaitFinal(versions map[int64]int64) error {
	lacking := func() (n int) {
		for _, c := range v.conns {
			if c.version != versions[c.raffle.id] {
				n++
			}
		}
		return n
	}
	if err := v.await(func() bool { return lacking() == 0 }); err != nil {
		return fmt.Errorf("%d of %d viewers lack the final odds: %w", lacking(), len(v.conns), err)
	}
	return nil
}

var errNothing = errors.New("nothing was received")

// await reads until done reports true, for some seconds at most.
func (v *viewers) await(done func() bool) error {
	for deadline := time.Now().Add(v.patience); !done(); {
		left := time.Until(deadline)
		if left <= 0 {
			return fmt.Errorf("not within %v", v.patience)
		}
		if err := v.poll(left); err != nil {
			return err
		}
	}
	return nil
}

// poll reads what has been received, and waits for it if that is nothing.
func (v *viewers) poll(timeout time.Duration) error {
	n, err := unix.EpollWait(v.epoll, v.events[:], int(timeout.Milliseconds()))
	if n == 0 {
		return errNothing
	}
	if err != nil && !errors.Is(err, unix.EINTR) {
		return err
	}
	commands := false
	for _, e := range v.events[:max(n, 0)] {
		if e.Fd == 0 {
			commands = true
		} else {
			v.read(v.byFD[e.Fd], e.Fd)
		}
	}
	if commands { // last, since they poll as well
		v.readCommands()
	}
	return nil
}

// read reads what a viewer has received.
func (v *viewers) read(c *viewer, fd int32) {
	n, err := socket.Receive(fd, v.buf)
	now := time.Now()
	if errors.Is(err, unix.EAGAIN) {
		return
	}
	if err != nil || n == 0 {
		c.ended = true
		v.byFD[fd] = nil
		_ = unix.Close(int(fd))
		if v.measured || v.waiting > 0 || err != nil {
			v.fault(fmt.Errorf("a stream of raffle %d ended at version %d: %w", c.raffle.id, c.version, cmp.Or(err, io.EOF)))
		}
		return
	}
	text := v.buf[:n]
	if len(c.rest) > 0 {
		c.rest = append(c.rest, text...)
		text = c.rest
	}
	for {
		one, others, isWhole := bytes.Cut(text, endOfEvent)
		if !isWhole {
			break
		}
		text = others
		if err := v.take(c, one, now); err != nil {
			v.fault(err)
		}
	}
	c.rest = append(c.rest[:0], text...)
}

// take checks an event that was received at a time, and records its age.
func (v *viewers) take(c *viewer, text []byte, now time.Time) error {
	if !c.begun {
		c.begun = true
		if !bytes.HasPrefix(text, []byte("HTTP/1.1 200 ")) {
			return fmt.Errorf("a stream of raffle %d was refused: %q", c.raffle.id, text)
		}
		_, text, _ = bytes.Cut(text, []byte("\r\n\r\n"))
	}
	o, isOdds, err := c.raffle.parse(text)
	if !isOdds {
		return err
	}
	switch {
	case o.version <= c.version:
		return fmt.Errorf("raffle %d: version %d after version %d", c.raffle.id, o.version, c.version)
	case c.version == 0:
		v.waiting--
	}
	c.version = o.version
	if !v.measured {
		return nil
	}
	if !c.updated {
		c.updated = true
		v.pending--
	}
	return v.ages.RecordValue(max(1, now.Sub(o.at).Microseconds()))
}

// fault counts a fault, and writes out the first ones.
func (v *viewers) fault(err error) {
	if v.faults++; v.faults <= maxShown {
		fmt.Fprintln(os.Stderr, "viewers:", err)
	}
}
