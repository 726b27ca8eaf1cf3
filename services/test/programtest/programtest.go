// Package programtest is for tests that run programs of others, as proxies and
// clients are.
package programtest

import (
	"net"
	"net/http"
	"os"
	"os/exec"
	"testing"
	"time"
)

// Find returns the path of a program, which `make test` installs where it may.
// Without it the test is skipped, but fails in CI.
func Find(t testing.TB, program string) string {
	t.Helper()
	for _, dir := range []string{"", "/usr/sbin/"} { // a daemon's is not in every PATH
		if found, err := exec.LookPath(dir + program); err == nil {
			return found
		}
	}
	Missing(t, program+": `make test` installs it where it can")
	return ""
}

// Missing skips a test for want of something that a machine may lack, but CI's
// must not: there it fails.
func Missing(t testing.TB, what string) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatalf("CI must have %s", what)
	}
	t.Skipf("there is no %s", what) // at home only, as said above
}

// FreeAddress returns an address of loopback on which nobody listened a moment ago.
func FreeAddress(t testing.TB) string {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// Await asks until a URL answers 200, for at most 20 s.
func Await(t testing.TB, url string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	// It has no other way to say that it is ready, so it is asked over and over.
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		resp, err := http.DefaultClient.Do(req)
		if err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s does not answer: %v", url, err)
		}
	}
}
