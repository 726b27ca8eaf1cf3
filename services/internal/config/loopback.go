package config

import (
	"net"
	"net/netip"
)

// IsLoopback reports whether only this machine reaches an address to listen on. A name
// other than localhost is not looked up, and counts as reached by others.
func IsLoopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.Unmap().IsLoopback()
}
