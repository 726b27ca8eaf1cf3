package socket

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// Unreceived returns how many of the bytes that were written to a TCP connection its peer has
// not acknowledged, 0 if the connection has ended. Other systems than Linux always return 0.
func Unreceived(c syscall.RawConn) (n int) {
	_ = c.Control(func(fd uintptr) {
		queued, err := unix.IoctlGetInt(int(fd), unix.SIOCOUTQ)
		if err != nil || queued == 0 {
			return
		}
		// What a connection that was reset has not sent counts, too.
		state := []unix.PollFd{{Fd: int32(fd)}}
		if ended, err := unix.Poll(state, 0); ended == 0 && err == nil {
			n = queued
		}
	})
	return n
}
