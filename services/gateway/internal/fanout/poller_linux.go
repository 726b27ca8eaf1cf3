package fanout

import (
	"encoding/binary"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// epoll is the poller on Linux.
type epoll struct {
	fd     int
	wakeFD int // an eventfd that ends the wait
	batch  [256]unix.EpollEvent
}

func newPoller() (poller, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("make an epoll descriptor: %w", err)
	}
	wakeFD, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("make an event descriptor: %w", err)
	}
	p := &epoll{fd: fd, wakeFD: wakeFD}
	// Edge-triggered, so that it need not be read after each event.
	event := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLET, Fd: int32(wakeFD)}
	if err := unix.EpollCtl(fd, unix.EPOLL_CTL_ADD, wakeFD, &event); err != nil {
		p.close()
		return nil, fmt.Errorf("poll the event descriptor: %w", err)
	}
	return p, nil
}

func (p *epoll) wait(timeout time.Duration, event func(fd int32, what events)) {
	ms := -1
	if timeout >= 0 {
		ms = int((timeout + time.Millisecond - 1) / time.Millisecond) // rounded up: to wake too early would be to spin
	}
	n, err := unix.EpollWait(p.fd, p.batch[:], ms)
	if err != nil {
		return // EINTR: the caller does a turn and waits again
	}
	for _, e := range p.batch[:n] {
		if e.Fd == int32(p.wakeFD) {
			continue
		}
		var what events
		if e.Events&unix.EPOLLIN != 0 {
			what |= readable
		}
		if e.Events&unix.EPOLLOUT != 0 {
			what |= takesMore
		}
		if e.Events&(unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) != 0 {
			what |= hungUp
		}
		event(e.Fd, what)
	}
}

// one is what is added to an eventfd's counter.
var one = binary.NativeEndian.AppendUint64(nil, 1)

func (p *epoll) wake() {
	_, _ = unix.Write(p.wakeFD, one) // fails only if the counter is full, and then the poller is awake
}

func (p *epoll) add(fd int32) error {
	// All that will ever be requested, once: edge-triggered, EPOLLOUT is reported only
	// after a write that found the socket full.
	event := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLOUT | unix.EPOLLRDHUP | unix.EPOLLET, Fd: fd}
	if err := unix.EpollCtl(p.fd, unix.EPOLL_CTL_ADD, int(fd), &event); err != nil {
		return fmt.Errorf("poll a socket: %w", err)
	}
	return nil
}

func (p *epoll) close() {
	_ = unix.Close(p.wakeFD)
	_ = unix.Close(p.fd)
}
