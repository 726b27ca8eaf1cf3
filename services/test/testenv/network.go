package testenv

import (
	"context"
	"net"
	"net/http"
	"testing"
	"time"
)

// FreeAddress returns a loopback address, host and port, on which nobody listened
// a moment ago. Prefer port 0 if the program under test reports its port.
func FreeAddress(t testing.TB) string {
	t.Helper()
	return FreeAddresses(t, 1)[0]
}

// FreeAddresses returns n different addresses like FreeAddress.
func FreeAddresses(t testing.TB, n int) (addresses []string) {
	t.Helper()
	for range n {
		l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close() // not before all are open, so that they differ
		addresses = append(addresses, l.Addr().String())
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
