package testenv

import (
	"context"
	"net"
	"net/http"
	"os"
	"sync"
	"testing"
	"time"
)

// Host returns a loopback address that only this process uses, so that a port of it
// stays free from one use to the next, whatever the tests of other packages do meanwhile.
// On systems that have no loopback address but 127.0.0.1 it returns that.
func Host() string { return host() }

var host = sync.OnceValue(func() string {
	pid := os.Getpid() // at most 22 bits
	own := net.IPv4(127, byte(64|pid>>16), byte(pid>>8), byte(pid)).String()
	l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", own+":0")
	if err != nil {
		return "127.0.0.1"
	}
	_ = l.Close()
	return own
})

// given are the addresses that FreeAddresses has returned.
var given sync.Map

// FreeAddress returns an address, Host and port, on which nobody listens, and which it
// returns once. Prefer port 0 if the program under test reports its port.
func FreeAddress(t testing.TB) string {
	t.Helper()
	return FreeAddresses(t, 1)[0]
}

// FreeAddresses returns n different addresses like FreeAddress.
func FreeAddresses(t testing.TB, n int) (addresses []string) {
	t.Helper()
	for len(addresses) < n {
		l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", Host()+":0")
		if err != nil {
			t.Fatal(err)
		}
		address := l.Addr().String()
		_ = l.Close()
		if _, twice := given.LoadOrStore(address, true); !twice {
			addresses = append(addresses, address)
		}
	}
	return addresses
}

// AwaitStatus polls a URL until a GET request is answered with the given status,
// for at most 20 s. It is for servers that have no other way to report readiness.
// It must be called on the test's goroutine.
func AwaitStatus(t testing.TB, url string, status int) {
	t.Helper()
	Eventually(t, "GET "+url+" answers "+http.StatusText(status), 20*time.Second, func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return false
		}
		_ = resp.Body.Close()
		return resp.StatusCode == status
	})
}
