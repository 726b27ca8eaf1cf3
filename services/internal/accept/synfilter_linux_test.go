package accept

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"syscall"
	"testing"
	"time"
)

// connects reports whether the kernel lets an address connect within some time; it may be
// refused then.
func (p *port) connects(from string, within time.Duration) bool {
	p.t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: within}
	c, err := d.DialContext(p.t.Context(), "tcp", p.address)
	if err == nil {
		_ = c.Close()
		return true
	}
	if failed, ok := errors.AsType[net.Error](err); ok && failed.Timeout() {
		return false
	}
	if !errors.Is(err, syscall.ECONNRESET) { // it was refused before the dialer saw it connected
		p.t.Fatalf("from %s: %v", from, err)
	}
	return true
}

func (f *synFilter) set(lasts time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lasts = lasts
}

func (f *synFilter) dropped() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.until)
}

// endAll lets all in whom the kernel drops.
func (f *synFilter) endAll() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for address := range f.until {
		f.until[address] = time.Now()
	}
}

func TestSYNFilter_DropsWhoGoesOnAlthoughRefused(t *testing.T) {
	t.Parallel()
	for listening, from := range map[string]struct{ flood, other string }{
		"127.0.0.1:0": {"127.0.0.2", "127.0.0.3"},
		"[::1]:0":     {"::1", "::1"}, // which has no other address
	} {
		t.Run(listening, func(t *testing.T) {
			t.Parallel()
			p := serveAt(t, listening, Config{PerSecond: 1})
			p.bounds.filter.Load().set(time.Hour)
			kept, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from.flood)}}).DialContext(t.Context(), "tcp", p.address)
			if err != nil {
				t.Fatal(err)
			}
			defer kept.Close()
			tries := 1
			for p.connects(from.flood, 2*time.Second) {
				if tries++; tries > 10_000 {
					t.Fatal("it is let in again and again, although it is refused")
				}
			}
			if tries < 3+3*refusedPerSecond {
				t.Errorf("nothing is let in after %d connections", tries)
			}
			if from.other != from.flood && !p.connects(from.other, 10*time.Second) {
				t.Error("another address is not let in")
			}
			if _, err := io.WriteString(kept, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
				t.Fatal(err)
			}
			if _, err := http.ReadResponse(bufio.NewReader(kept), nil); err != nil {
				t.Errorf("a connection from before: %v", err)
			}
			p.bounds.filter.Load().endAll()
			if !p.connects(from.flood, time.Minute) { // which sends its first packet again if that was dropped
				t.Error("it is not let in when that time is over")
			}
		})
	}
}

// Connections that are refused since there are too many, and those of proxies, say nothing
// about an address.
func TestSYNFilter_SparesWhoIsNotAFlood(t *testing.T) {
	t.Parallel()
	for name, cfg := range map[string]Config{
		"full": {Limit: 1, Others: func() int { return 1 }},
		"proxy": {
			Trusted: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")},
			Refuse:  func(netip.Addr) string { return Banned },
		},
	} {
		p := serve(t, cfg)
		for range 5 * refusedPerSecond {
			p.answers("127.0.0.1")
		}
		if n := p.bounds.filter.Load().dropped(); n > 0 {
			t.Errorf("%s: %d addresses are dropped", name, n)
		}
	}
}

// The kernel takes the longest programs.
func TestAttachFilter_TakesManyAddresses(t *testing.T) {
	t.Parallel()
	for name, first := range map[string]netip.Addr{"IPv4": netip.MustParseAddr("127.0.1.1"), "IPv6": netip.MustParseAddr("2001:db8::")} {
		p := serve(t, Config{})
		addresses := make([]netip.Addr, 0, maxDropped)
		for range maxDropped - 1 {
			addresses = append(addresses, first)
			first = first.Next()
		}
		addresses = append(addresses, netip.MustParseAddr("127.0.0.9"))
		if err := attachFilter(p.bounds.filter.Load().socket, addresses); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if p.connects("127.0.0.9", time.Second) || !p.connects("127.0.0.8", 10*time.Second) {
			t.Errorf("%s: the last address is let in, or one that is not named is not", name)
		}
	}
}

// Of IPv6, the first 64 bits are compared, all of them.
func TestAttachFilter_ComparesNetworksOfIPv6(t *testing.T) {
	t.Parallel()
	p := serveAt(t, "[::1]:0", Config{})
	for dropped, isLetIn := range map[string]bool{"0:0:1::": true, "1::": true, "::": false} {
		if err := attachFilter(p.bounds.filter.Load().socket, []netip.Addr{netip.MustParseAddr(dropped)}); err != nil {
			t.Fatal(err)
		}
		if p.connects("::1", 2*time.Second) != isLetIn {
			t.Errorf("without %s/64: ::1 is let in: %t", dropped, !isLetIn)
		}
	}
}
