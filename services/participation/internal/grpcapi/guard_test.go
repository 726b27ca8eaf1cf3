package grpcapi

import (
	"errors"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
)

// traffic returns what a client writes on a connection.
func traffic(t *testing.T, write func(*http2.Framer)) string {
	t.Helper()
	var text strings.Builder
	text.WriteString(http2.ClientPreface)
	write(http2.NewFramer(&text, nil))
	return text.String()
}

// textConn is a connection on which a text comes, in pieces of some bytes.
type textConn struct {
	net.Conn
	ip    net.IP
	text  *strings.Reader
	piece int
}

func (c *textConn) Read(p []byte) (int, error) { return c.text.Read(p[:min(len(p), c.piece)]) }

func (c *textConn) Close() error { return nil }

func (c *textConn) RemoteAddr() net.Addr { return &net.TCPAddr{IP: c.ip, Port: 1} }

// sources counts the addresses that read has used.
var sources atomic.Int32

// read has a guarded connection of a new address read a text, and returns the error that
// ends it.
func read(t *testing.T, g *guard, text string, piece int) (*guardedConn, error) {
	t.Helper()
	c, err := g.admit(&textConn{ip: net.IPv4(198, 51, 100, byte(sources.Add(1))), text: strings.NewReader(text), piece: piece})
	if err != nil {
		t.Fatal(err)
	}
	_, err = io.Copy(io.Discard, onlyReader{c})
	return c, err
}

type onlyReader struct{ io.Reader }

// header opens a stream.
func header(f *http2.Framer, stream int, ends bool) {
	_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: uint32(stream), BlockFragment: []byte("x"), EndHeaders: true, EndStream: ends})
}

func TestGuard_EndsFloods(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		one  func(f *http2.Framer, i int)
		n    int
		want error
	}{
		"pings":      {func(f *http2.Framer, _ int) { _ = f.WritePing(false, [8]byte{}) }, 2 * maxCredit, errFlood},
		"settings":   {func(f *http2.Framer, _ int) { _ = f.WriteSettings() }, 2 * maxCredit, errFlood},
		"empty data": {func(f *http2.Framer, _ int) { _ = f.WriteData(1, false, nil) }, 2 * maxCredit, errFlood},
		"calls without requests": {func(f *http2.Framer, i int) {
			header(f, 2*i+1, false)
			_ = f.WriteData(uint32(2*i+1), false, nil)
		}, 2 * shareHalfOpen, nil},
		"resets": {func(f *http2.Framer, i int) {
			header(f, 2*i+1, false)
			_ = f.WriteRSTStream(uint32(2*i+1), http2.ErrCodeCancel)
		}, maxCredit, errFlood},
		"calls with a ping and two window updates each": {func(f *http2.Framer, i int) {
			header(f, 2*i+1, false)
			_ = f.WriteData(uint32(2*i+1), true, []byte("request"))
			_ = f.WritePing(false, [8]byte{})
			_ = f.WriteWindowUpdate(0, 1)
			_ = f.WriteWindowUpdate(uint32(2*i+1), 1)
		}, 50_000, nil},
		"a call of a hundred that is cancelled": {func(f *http2.Framer, i int) {
			header(f, 2*i+1, false)
			if i%100 == 0 {
				_ = f.WriteRSTStream(uint32(2*i+1), http2.ErrCodeCancel)
			} else {
				_ = f.WriteData(uint32(2*i+1), true, []byte("request"))
			}
		}, 50_000, nil},
	} {
		text := traffic(t, func(f *http2.Framer) {
			for i := range c.n {
				c.one(f, i)
			}
		})
		for _, piece := range []int{7, 32 << 10} { // frames in pieces, and many in one
			if _, err := read(t, newGuard(0), text, piece); !errors.Is(err, c.want) {
				t.Errorf("%s in pieces of %d: %v", name, piece, err)
			}
		}
	}
}

// All connections of an address share its credit, which comes back with time, and an
// address that was a flood is refused for a while.
func TestGuard_BansAnAddressThatFloods(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newGuard(0)
		var conns []*guardedConn
		for range 10 {
			c, err := g.admit(&textConn{ip: net.IPv4(192, 0, 2, 1)})
			if err != nil {
				t.Fatal(err)
			}
			conns = append(conns, c)
		}
		for i := range maxCredit {
			if err := conns[i%10].spend(1); err != nil {
				t.Fatalf("frame %d: %v", i, err)
			}
		}
		time.Sleep(10 * time.Second)
		for i := range 10 * creditPerSecond {
			if err := conns[i%10].spend(1); err != nil {
				t.Fatalf("frame %d after ten seconds: %v", i, err)
			}
		}
		if err := conns[0].spend(1); !errors.Is(err, errFlood) {
			t.Errorf("beyond the credit: %v", err)
		}
		if _, err := g.admit(&textConn{ip: net.IPv4(192, 0, 2, 1)}); !errors.Is(err, errBanned) {
			t.Errorf("after the flood: %v", err)
		}
		time.Sleep(banned)
		if _, err := g.admit(&textConn{ip: net.IPv4(192, 0, 2, 1)}); err != nil {
			t.Errorf("after the ban: %v", err)
		}
	})
}

func TestGuard_RemembersFewAddresses(t *testing.T) {
	t.Parallel()
	g := newGuard(0)
	for i := range 3 * maxSources {
		c, err := g.admit(&textConn{ip: net.IPv4(10, byte(i>>16), byte(i>>8), byte(i))})
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
	}
	if n := len(g.sources); n > maxSources {
		t.Errorf("%d are remembered", n)
	}
}

func TestGuard_BoundsCallsWithoutRequests(t *testing.T) {
	t.Parallel()
	g := newGuard(0)
	open := func(n int) string {
		return traffic(t, func(f *http2.Framer) {
			for i := range n {
				header(f, 2*i+1, false)
			}
		})
	}
	var conns []*guardedConn
	for range maxHalfOpen / 1000 {
		c, err := read(t, g, open(1000), 4096)
		if err != nil {
			t.Fatal(err)
		}
		conns = append(conns, c)
	}
	if _, err := read(t, g, open(1000), 4096); !errors.Is(err, errHalfOpen) {
		t.Errorf("beyond the bound: %v", err)
	}
	if _, err := read(t, g, open(shareHalfOpen), 4096); err != nil {
		t.Errorf("a connection with a few: %v", err)
	}
	for _, c := range conns {
		c.Close()
		c.Close() // counts once
	}
	if _, err := read(t, g, open(1000), 4096); err != nil {
		t.Errorf("after the others have left: %v", err)
	}
}

func TestGuard_BoundsTheConnectionsOfAnAddress(t *testing.T) {
	t.Parallel()
	g := newGuard(2)
	first, err := g.admit(&textConn{ip: net.IPv4(192, 0, 2, 1)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := g.admit(&textConn{ip: net.IPv4(192, 0, 2, 1)}); err != nil {
		t.Fatal(err)
	}
	if _, err := g.admit(&textConn{ip: net.IPv4(192, 0, 2, 1)}); !errors.Is(err, errTooMany) {
		t.Errorf("the third: %v", err)
	}
	first.Close()
	if _, err := g.admit(&textConn{ip: net.IPv4(192, 0, 2, 1)}); err != nil {
		t.Errorf("after the first has left: %v", err)
	}
}
