package fanout

import "time"

// poller waits for sockets, and for a wake-up by another goroutine.
type poller interface {
	// wait waits for the timeout (0: not at all; less: for good), a wake-up or
	// events, and reports the events.
	wait(timeout time.Duration, event func(fd int32, what events))
	// wake ends a wait, or the next one.
	wake()
	// add has events of a socket reported: each change once.
	add(fd int32) error
	close()
}

// events are what can be said of a socket.
type events uint8

const (
	readable events = 1 << iota
	takesMore
	hungUp
)

// sleeper is the poller where there are no sockets to wait for.
type sleeper struct{ woken chan struct{} }

func newSleeper() *sleeper { return &sleeper{make(chan struct{}, 1)} }

func (s *sleeper) wait(timeout time.Duration, _ func(int32, events)) {
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

func (s *sleeper) wake() {
	select {
	case s.woken <- struct{}{}:
	default:
	}
}

func (s *sleeper) add(int32) error { panic("fanout: a sleeper has no sockets") }

func (s *sleeper) close() {}
