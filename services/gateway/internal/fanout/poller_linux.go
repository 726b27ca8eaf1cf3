package fanout

import (
	"encoding/binary"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// epoll is the poller of Linux.
type epoll struct {
	fd    int
	bell  int // an eventfd: wakes the wait
	batch [256]unix.EpollEvent
}

func newPoller() (poller, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("make an epoll descriptor: %w", err)
	}
	bell, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("make an event descriptor: %w", err)
	}
	p := &epoll{fd: fd, bell: bell}
	// Edge-triggered, so that it need not be read each time.
	event := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLET, Fd: int32(bell)}
	if err := unix.EpollCtl(fd, unix.EPOLL_CTL_ADD, bell, &event); err != nil {
		p.close()
		return nil, fmt.Errorf("watch the event descriptor: %w", err)
	}
	return p, nil
}

func (p *epoll) wait(timeout time.Duration, event func(fd int32, what events)) {
	ms := -1
	if timeout >= 0 {
		ms = int((timeout + time.Millisecond - 1) / time.Millisecond) // not too early: that would be a spin
	}
	n, err := unix.EpollWait(p.fd, p.batch[:], ms)
	if err != nil {
		return // EINTR: the caller looks after its business and waits again
	}
	for _, e := range p.batch[:n] {
		if e.Fd == int32(p.bell) {
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

// one is what an eventfd's counter is raised by.
var one = binary.NativeEndian.AppendUint64(nil, 1)

func (p *epoll) wake() {
	_, _ = unix.Write(p.bell, one) // it fails only where the counter is full: then it is awake
}

func (p *epoll) add(fd int32) error {
	// All that will ever be asked for, once: edge-triggered, room to write is
	// reported only after a write that found none.
	event := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLOUT | unix.EPOLLRDHUP | unix.EPOLLET, Fd: fd}
	if err := unix.EpollCtl(p.fd, unix.EPOLL_CTL_ADD, int(fd), &event); err != nil {
		return fmt.Errorf("watch a socket: %w", err)
	}
	return nil
}

func (p *epoll) close() {
	_ = unix.Close(p.bell)
	_ = unix.Close(p.fd)
}
