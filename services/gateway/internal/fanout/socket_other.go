//go:build !linux

package fanout

import (
	"errors"
	"net"
	"time"
)

// canDetach says that all connections keep their handler on this system.
const canDetach = false

func newPoller() (poller, error) { return newSleeper(), nil }

func send(int32, []byte) (int, error) { panic("fanout: nothing is detached here") }

func discard(*conn) Reason { panic("fanout: nothing is detached here") }

func closeSocket(int32, bool) { panic("fanout: nothing is detached here") }

func detach(net.Conn, int, time.Duration) (int32, error) {
	return -1, errors.ErrUnsupported
}
