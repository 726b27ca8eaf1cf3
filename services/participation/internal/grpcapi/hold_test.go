package grpcapi

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"

	"github.com/rafflecast/rafflecast/services/internal/accept"
)

// chunksConn is a connection on which one chunk after the other comes.
type chunksConn struct {
	textConn
	chunks []string
	read   int
}

func (c *chunksConn) Read(p []byte) (int, error) {
	if c.read == len(c.chunks) {
		return 0, io.EOF
	}
	c.read++
	return copy(p, c.chunks[c.read-1]), nil
}

// headers returns what opens n calls after the first ones.
func headers(first, n int) string {
	var text strings.Builder
	f := http2.NewFramer(&text, nil)
	for i := range n {
		header(f, 2*(first+i)+1, false)
	}
	return text.String()
}

// requests returns the requests of n calls.
func requests(first, n int) string {
	var text strings.Builder
	f := http2.NewFramer(&text, nil)
	for i := range n {
		_ = f.WriteData(uint32(2*(first+i)+1), true, []byte("request"))
	}
	return text.String()
}

// Calls whose requests have not come are not passed on to be served.
func TestGuard_HoldsManyCallsUntilTheirRequestsCome(t *testing.T) {
	t.Parallel()
	begin := traffic(t, func(f *http2.Framer) { _ = f.WriteSettings() })
	for name, c := range map[string]struct {
		chunks []string
		reads  []int // how many chunks have come after each Read
	}{
		"a few":         {[]string{begin, headers(0, shareHalfOpen), requests(0, shareHalfOpen)}, []int{1, 2, 3}},
		"many":          {[]string{begin, headers(0, 100), headers(100, 100), requests(0, 90), requests(90, 110)}, []int{1, 5}},
		"half come":     {[]string{begin, headers(0, 200), requests(0, 100), requests(100, 100)}, []int{1, 3, 4}},
		"a known one":   {[]string{begin, headers(0, 300), requests(0, 300), headers(300, 299), requests(300, 299)}, []int{1, 3, 4, 5}},
		"all together":  {[]string{begin, headers(0, 100) + requests(0, 100)}, []int{1, 2}},
		"it ends there": {[]string{begin, headers(0, 100)}, []int{1, 2}},
	} {
		conn := &chunksConn{textConn: textConn{ip: net.IPv4(192, 0, 2, 1)}, chunks: c.chunks}
		guarded, err := NewGuard(0, 0).admit(conn)
		if err != nil {
			t.Fatal(err)
		}
		var passed strings.Builder
		p := make([]byte, 1<<20)
		for i, want := range c.reads {
			n, err := guarded.Read(p)
			if err != nil || conn.read != want {
				t.Errorf("%s: Read %d returns when %d chunks have come, want %d (%v)", name, i+1, conn.read, want, err)
			}
			passed.Write(p[:n])
		}
		for { // in small pieces, what may be held
			n, err := guarded.Read(p[:7])
			passed.Write(p[:n])
			if err != nil {
				break
			}
		}
		if passed.String() != strings.Join(c.chunks, "") {
			t.Errorf("%s: what was read is not what has come", name)
		}
	}
}

// What is held is passed on in pieces as small as those that are asked for.
func TestGuard_HeldCallsAreReadInAnyPieces(t *testing.T) {
	t.Parallel()
	text := headers(0, 200) + requests(0, 200)
	conn := &chunksConn{textConn: textConn{ip: net.IPv4(192, 0, 2, 1)}, chunks: []string{http2.ClientPreface, headers(0, 200), requests(0, 200)}}
	guarded, err := NewGuard(0, 0).admit(conn)
	if err != nil {
		t.Fatal(err)
	}
	if err := guarded.begin(); err != nil {
		t.Fatal(err)
	}
	var passed strings.Builder
	p := make([]byte, len(headers(0, 200))+1) // the first piece has all that comes first
	for {
		n, err := guarded.Read(p)
		if passed.Write(p[:n]); err != nil {
			break
		}
	}
	if passed.String() != http2.ClientPreface+text {
		t.Error("what was read is not what has come")
	}
}

// What is held is bounded.
func TestGuard_HoldsABoundedAmount(t *testing.T) {
	t.Parallel()
	var text strings.Builder
	text.WriteString(http2.ClientPreface)
	f := http2.NewFramer(&text, nil)
	for i := range maxStreams {
		_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: uint32(2*i + 1), BlockFragment: make([]byte, 1000), EndHeaders: true})
	}
	g := NewGuard(0, 0)
	guarded, err := g.admit(&textConn{ip: net.IPv4(192, 0, 2, 1), text: strings.NewReader(text.String()), piece: 100_000})
	if err != nil {
		t.Fatal(err)
	}
	p := make([]byte, 1<<20)
	if n, err := guarded.Read(p); n != maxHeld || err != nil {
		t.Errorf("%d bytes are held, %v", n, err)
	}
	if credit := guarded.from.credit.Load(); credit != firstCredit {
		t.Errorf("the address has %d left", credit)
	}
}

func TestGuard_HoldsCallsForAWhile(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client, server := net.Pipe()
		defer client.Close()
		defer server.Close()
		guarded, err := NewGuard(0, 0).admit(server)
		if err != nil {
			t.Fatal(err)
		}
		text := http2.ClientPreface + headers(0, 100)
		go func() { _, _ = io.WriteString(client, text) }()
		got := make([]byte, len(text))
		if _, err := io.ReadFull(guarded, got); err != nil || string(got) != text {
			t.Errorf("calls whose requests do not come: %v", err)
		}
		go func() { _, _ = io.WriteString(client, requests(0, 100)) }()
		if _, err := guarded.Read(got); err != nil {
			t.Errorf("once they come: %v", err)
		}
	})
}

// An address that begins more calls than a connection may have, and sends no request, is
// banned at once. One that was known to be a caller is not.
func TestGuard_BansAnAddressThatSendsNothingButCalls(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		calls int // that are complete
		want  string
	}{{0, accept.Banned}, {1000, ""}} {
		g := NewGuard(0, 0)
		caller, err := g.admit(&textConn{ip: net.IPv4(192, 0, 2, 1), text: strings.NewReader(http2.ClientPreface + headers(0, c.calls) + requests(0, c.calls)), piece: 4096})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, onlyReader{caller}); err != nil {
			t.Errorf("%d calls: %v", c.calls, err)
		}
		flood, err := g.admit(&textConn{ip: net.IPv4(192, 0, 2, 1), text: strings.NewReader(http2.ClientPreface + headers(0, maxStreams+1)), piece: 4096})
		if err != nil {
			t.Fatal(err)
		}
		if n, err := io.Copy(io.Discard, onlyReader{flood}); !errors.Is(err, errHalfOpen) || n > 4096 {
			t.Errorf("%d bytes are passed on, %v", n, err)
		}
		if got := g.Refuse(netip.MustParseAddr("192.0.2.1")); got != c.want {
			t.Errorf("after %d calls: another connection is refused with %q", c.calls, got)
		}
	}
}

// A connection that begins with a flood is closed before anything is made, or written, for it.
func TestGuard_ReadsTheFirstFramesBeforeAConnectionIsServed(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		text string
		want error
	}{
		"pings": {traffic(t, func(f *http2.Framer) {
			for range firstCredit {
				_ = f.WritePing(false, [8]byte{})
			}
		}), errFlood},
		"calls":  {http2.ClientPreface + headers(0, maxStreams+1), errHalfOpen},
		"a call": {http2.ClientPreface + headers(0, 1), nil},
	} {
		g := NewGuard(0, 0)
		raw := &textConn{ip: net.IPv4(192, 0, 2, 1), text: strings.NewReader(c.text), piece: 4096}
		conn, _, err := guardedCredentials{inMemoryCredentials, g}.ServerHandshake(raw)
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
		if g.conns != 0 == (err != nil) {
			t.Errorf("%s: %d connections are counted", name, g.conns)
		}
		if err != nil {
			continue
		}
		got := make([]byte, 2*len(c.text))
		if n, err := conn.Read(got); err != nil || string(got[:n]) != c.text {
			t.Errorf("%s: read %q, %v", name, got[:n], err)
		}
	}
}

// Connections that were accepted before their address was banned end if they are not served
// yet, or if what they begin is not.
func TestGuard_RefusesABannedAddressThatHasOnlyBegun(t *testing.T) {
	t.Parallel()
	g := NewGuard(0, 0)
	connect := func(text string) *guardedConn {
		c, err := g.admit(&textConn{ip: net.IPv4(192, 0, 2, 1), text: strings.NewReader(http2.ClientPreface + text), piece: 1 << 20})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	flood, begun, served := connect(""), connect(headers(0, 1)), connect(headers(0, 100))
	if err := flood.spend(crowdCosts); !errors.Is(err, errFlood) {
		t.Errorf("the flood: %v", err)
	}
	if err := begun.begin(); !errors.Is(err, errBanned) {
		t.Errorf("one that has begun: %v", err)
	}
	if _, err := served.Read(make([]byte, 1<<20)); !errors.Is(err, errBanned) {
		t.Errorf("one that begins many calls: %v", err)
	}
}

// While too many calls wait for their requests, an address whose connections are closed since
// they begin many is banned soon if it comes back at once, and never if it waits a second.
func TestGuard_BansAnAddressThatComesBackWithCallsOnly(t *testing.T) {
	t.Parallel()
	for wait, want := range map[time.Duration]string{100 * time.Millisecond: accept.Banned, time.Second: ""} {
		synctest.Test(t, func(t *testing.T) {
			g := NewGuard(0, 0)
			g.halfOpen.Store(maxHalfOpen)
			text := http2.ClientPreface + headers(0, 2*shareHalfOpen)
			for range 3 {
				c, err := g.admit(&textConn{ip: net.IPv4(192, 0, 2, 1), text: strings.NewReader(text), piece: 4096})
				if err != nil {
					t.Fatal(err)
				}
				if err := c.begin(); !errors.Is(err, errHalfOpen) {
					t.Errorf("after %v: %v", wait, err)
				}
				_ = c.Close()
				time.Sleep(wait)
			}
			if got := g.Refuse(netip.MustParseAddr("192.0.2.1")); got != want {
				t.Errorf("after %v: refused with %q", wait, got)
			}
		})
	}
}
