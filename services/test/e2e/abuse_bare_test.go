package e2e_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
)

// bareVariable makes the test binary a server that does nothing but answer: how many bytes
// a page has, or 0 to close each connection instead, and how many bytes the rest has. What
// an attack on it does to honest callers, no service could avoid that does more.
const bareVariable = "RAFFLECAST_BARE"

// serveBareInstead serves until it is killed, if the environment says so. It writes its
// address to its standard output.
func serveBareInstead() {
	var page, rest int
	if _, err := fmt.Sscan(os.Getenv(bareVariable), &page, &rest); err != nil {
		return
	}
	var lc net.ListenConfig
	lc.SetMultipathTCP(false) // as our ports have it
	l, err := lc.Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err == nil {
		fmt.Println(l.Addr())
	}
	if err == nil && page > 0 {
		answer := []byte(strings.Repeat("x", max(page, rest)))
		server := &http.Server{ReadHeaderTimeout: answerTimeout, WriteTimeout: answerTimeout}
		server.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/" {
				_, _ = w.Write(answer[:page])
				return
			}
			_, _ = w.Write(answer[:rest])
		})
		err = server.Serve(l)
	}
	for err == nil {
		var c net.Conn
		if c, err = l.Accept(); err == nil {
			_ = c.Close()
		}
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// startBare starts such a server, which ends with the test, and returns its address.
func startBare(t *testing.T, page, rest int) (address string) {
	t.Helper()
	bare := self(t, fmt.Sprintf("%s=%d %d", bareVariable, page, rest))
	output, err := bare.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := bare.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = bare.Process.Kill()
		_ = bare.Wait()
	})
	if _, err := fmt.Fscanln(output, &address); err != nil {
		t.Fatal(err)
	}
	return address
}
