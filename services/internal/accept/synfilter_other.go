//go:build !linux

package accept

import (
	"errors"
	"net/netip"
	"syscall"
)

// attachFilter fails: this system has no such filters.
func attachFilter(syscall.RawConn, []netip.Addr) error { return errors.ErrUnsupported }
