package fanout

import "time"

// poller waits for sockets, and for a wake-up by another goroutine.
type poller interface {
	// wait blocks for at most timeout: 0 polls, a negative value blocks until woken. It
	// calls event with each event, and returns after a wake-up or some events.
	wait(timeout time.Duration, event func(fd int32, what events))
	// wake ends a wait, or the next one if there is none now.
	wake()
	// add requests the events of a socket: each change is reported once.
	add(fd int32) error
	close()
}

// events are what has happened to a socket.
type events uint8

const (
	readable events = 1 << iota
	takesMore
	hungUp
)

// noopPoller is a poller without sockets, for connections that keep their handlers.
type noopPoller struct{ woken chan struct{} }

func newNoopPoller() *noopPoller { return &noopPoller{make(chan struct{}, 1)} }

func (s *noopPoller) wait(timeout time.Duration, _ func(int32, events)) {
	var after <-chan time.Time
	switch {
	case timeout == 0:
		select {
		case <-s.woken:
		default:
		}
		return
	case timeout > 0:
		timer := time.NewTimer(timeout)
		defer timer.Stop()
		after = timer.C
	}
	select {
	case <-s.woken:
	case <-after:
	}
}

func (s *noopPoller) wake() {
	select {
	case s.woken <- struct{}{}:
	default:
	}
}

func (s *noopPoller) add(int32) error { panic("fanout: this poller has no sockets") }

func (s *noopPoller) close() {}
