//go:build !linux

package fanout

import (
	"errors"
	"net"
	"time"
)

// canDetach reports whether connections can be detached on this system.
const canDetach = false

func newPoller() (poller, error) { return newNoopPoller(), nil }

func send(int32, []byte) (int, error) { panic("fanout: nothing is detached on this system") }

func discardInput(int32, *int32) (Reason, bool) { panic("fanout: nothing is detached on this system") }

func closeSocket(int32, bool) { panic("fanout: nothing is detached on this system") }

func take(int32, []byte) { panic("fanout: nothing is detached on this system") }

func detach(net.Conn) (int32, error) {
	return -1, errors.ErrUnsupported
}

// SetSocketOptions does nothing: nothing is detached on this system.
func (h *Hub) SetSocketOptions(int) {}

func (*shard) suspendUserTimeout(*conn) {}

func (*shard) restoreUserTimeout(*conn) {}

// threadCPU returns what this thread would have used if it had never waited: it is not
// measured on this system.
func threadCPU(wall time.Duration) time.Duration { return wall }
