//go:build !linux

package accept

import (
	"errors"
	"net/netip"
	"syscall"
)

// drop fails: this system has no such filters.
func drop(syscall.RawConn, []netip.Addr) error { return errors.ErrUnsupported }
