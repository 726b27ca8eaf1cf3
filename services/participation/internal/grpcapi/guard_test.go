package grpcapi

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"

	"github.com/rafflecast/rafflecast/services/internal/accept"
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

func (c *textConn) Write(p []byte) (int, error) { return len(p), nil }

func (c *textConn) Close() error { return nil }

func (c *textConn) SetReadDeadline(time.Time) error { return nil }

func (c *textConn) RemoteAddr() net.Addr { return &net.TCPAddr{IP: c.ip, Port: 1} }

// sources counts the addresses that read has used.
var sources atomic.Int32

// read has a guarded connection of a new address read a text, and returns the error that
// ends it.
func read(t *testing.T, g *Guard, text string, piece int) (*guardedConn, error) {
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
		"acknowledgements":          {func(f *http2.Framer, _ int) { _ = f.WriteSettingsAck() }, 2 * maxCredit, errFlood},
		"window updates":            {func(f *http2.Framer, _ int) { _ = f.WriteWindowUpdate(0, 1) }, 2 * maxCredit, errFlood},
		"frames of an unknown type": {func(f *http2.Framer, _ int) { _ = f.WriteRawFrame(200, 0, 0, nil) }, 2 * maxCredit, errFlood},
		"headers in pieces":         {func(f *http2.Framer, _ int) { _ = f.WriteContinuation(1, false, []byte("x")) }, 2 * maxCredit, errFlood},
		"calls that end at once":    {func(f *http2.Framer, i int) { header(f, 2*i+1, true) }, maxCredit, errFlood},
		"data of a byte":            {func(f *http2.Framer, _ int) { _ = f.WriteData(1, false, []byte("x")) }, 2 * maxCredit, errFlood},
		"resets": {func(f *http2.Framer, i int) {
			header(f, 2*i+1, false)
			_ = f.WriteRSTStream(uint32(2*i+1), http2.ErrCodeCancel)
		}, firstCredit, errFlood},
		"resets of calls with their requests": {func(f *http2.Framer, i int) {
			header(f, 2*i+1, false)
			_ = f.WriteData(uint32(2*i+1), true, []byte("request"))
			_ = f.WriteRSTStream(uint32(2*i+1), http2.ErrCodeCancel)
		}, 2 * maxCredit, errFlood},
		"calls with a ping and three other frames each": {func(f *http2.Framer, i int) {
			header(f, 2*i+1, false)
			_ = f.WriteData(uint32(2*i+1), true, []byte("request"))
			_ = f.WritePing(false, [8]byte{})
			_ = f.WriteWindowUpdate(0, 1)
			_ = f.WriteWindowUpdate(uint32(2*i+1), 1)
			_ = f.WriteSettingsAck()
		}, 50_000, nil},
		"a thousand calls before the first request": {func(f *http2.Framer, i int) {
			if i < 1000 {
				header(f, 2*i+1, false)
			} else {
				_ = f.WriteData(uint32(2*(i-1000)+1), true, []byte("request"))
			}
		}, 2000, nil},
		"a call of a hundred that is cancelled": {func(f *http2.Framer, i int) {
			header(f, 2*i+1, false)
			if i%100 == 0 {
				_ = f.WriteRSTStream(uint32(2*i+1), http2.ErrCodeCancel)
			} else {
				_ = f.WriteData(uint32(2*i+1), true, []byte("request"))
			}
		}, 50_000, nil},
		"the second thousand calls are all given up": {func(f *http2.Framer, i int) {
			if i < 2000 {
				header(f, 2*i+1, false)
				_ = f.WriteData(uint32(2*i+1), true, []byte("request"))
			} else {
				_ = f.WriteRSTStream(uint32(2*(i-1000)+1), http2.ErrCodeCancel)
			}
		}, 3000, nil},
	} {
		text := traffic(t, func(f *http2.Framer) {
			for i := range c.n {
				c.one(f, i)
			}
		})
		for _, piece := range []int{7, 32 << 10} { // frames in pieces, and many in one
			if _, err := read(t, NewGuard(0, 0), text, piece); !errors.Is(err, c.want) {
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
		g := NewGuard(0, 0)
		var bans []time.Duration
		g.OnBanned = func(address netip.Addr, lasts time.Duration) {
			if bans = append(bans, lasts); address.String() != "192.0.2.1" {
				t.Errorf("banned: %v", address)
			}
		}
		var conns []*guardedConn
		for range 10 {
			c, err := g.admit(&textConn{ip: net.IPv4(192, 0, 2, 1)})
			if err != nil {
				t.Fatal(err)
			}
			conns = append(conns, c)
		}
		for i := range firstCredit {
			if err := conns[i%10].spend(1); err != nil {
				t.Fatalf("frame %d: %v", i, err)
			}
		}
		time.Sleep(time.Second)
		for i := range creditPerSecond {
			if err := conns[i%10].spend(1); err != nil {
				t.Fatalf("frame %d after a second: %v", i, err)
			}
		}
		for ban := range maxBans + 2 {
			for i := range 2 { // of which the second finds the address banned
				if err := conns[i].spend(grace); !errors.Is(err, errFlood) {
					t.Errorf("beyond the credit: %v", err)
				}
			}
			if len(bans) != ban+1 || bans[ban] != banned<<min(ban, maxBans) {
				t.Errorf("bans that were told: %v", bans)
			}
			time.Sleep(banned<<min(ban, maxBans) - 1)
			if _, err := g.admit(&textConn{ip: net.IPv4(192, 0, 2, 1)}); !errors.Is(err, errBanned) {
				t.Errorf("at the end of ban %d: %v", ban, err)
			}
			time.Sleep(time.Nanosecond)
			if _, err := g.admit(&textConn{ip: net.IPv4(192, 0, 2, 1)}); err != nil {
				t.Errorf("after ban %d: %v", ban, err)
			}
			_ = conns[0].spend(firstCredit) // what has come meanwhile
		}
		time.Sleep(2 * forgiven)
		_ = conns[0].spend(2 * firstCredit)
		time.Sleep(banned)
		if _, err := g.admit(&textConn{ip: net.IPv4(192, 0, 2, 1)}); err != nil {
			t.Errorf("after the first ban in a long time: %v", err)
		}
	})
}

// Callers that share their address with a flood keep their connections, and can't connect
// anew until its ban is over.
func TestGuard_SparesCallersBesideAFlood(t *testing.T) {
	t.Parallel()
	g := NewGuard(0, 0)
	connect := func() *guardedConn {
		c, err := g.admit(&textConn{ip: net.IPv4(192, 0, 2, 1)})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	caller, quiet, flood := connect(), connect(), connect()
	call := traffic(t, func(f *http2.Framer) {
		for i := range 50 {
			header(f, 2*i+1, false)
			_ = f.WriteData(uint32(2*i+1), true, []byte("request"))
		}
		_ = f.WritePing(false, [8]byte{})
	})
	for i := 0; ; i++ {
		if err := flood.spend(pingCosts); err != nil {
			break
		}
		if i > maxCredit {
			t.Fatal("the flood goes on")
		}
	}
	if err := flood.spend(1); !errors.Is(err, errFlood) {
		t.Errorf("the flood: %v", err)
	}
	if err := quiet.spend(pingCosts); err != nil {
		t.Errorf("a connection that says little: %v", err)
	}
	if err := caller.watch([]byte(call)); err != nil {
		t.Errorf("a caller: %v", err)
	}
	if reason := g.Refuse(netip.MustParseAddr("192.0.2.1")); reason != accept.Banned {
		t.Errorf("another connection is refused with %q", reason)
	}
}

// Who is sent much has to acknowledge it.
func TestGuard_LetsWindowUpdatesFollowWhatIsWritten(t *testing.T) {
	t.Parallel()
	c, err := NewGuard(0, 0).admit(&textConn{ip: net.IPv4(192, 0, 2, 1)})
	if err != nil {
		t.Fatal(err)
	}
	var page bytes.Buffer
	_ = http2.NewFramer(&page, nil).WriteData(1, false, make([]byte, 8192))
	for i := range 10 * maxCredit {
		if _, err := c.Write(page.Bytes()); err != nil {
			t.Fatal(err)
		}
		if err := c.spend(2); err != nil {
			t.Fatalf("after %d writes: %v", i, err)
		}
	}
}

func TestGuard_RemembersFewAddresses(t *testing.T) {
	t.Parallel()
	g := NewGuard(0, 0)
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
	g := NewGuard(0, 0)
	open := func(n int) string {
		return traffic(t, func(f *http2.Framer) {
			for i := range n {
				header(f, 2*i+1, false)
			}
		})
	}
	var conns []*guardedConn
	for range 3 {
		c, err := read(t, g, open(maxHalfOpen/3), 4096)
		if err != nil {
			t.Fatal(err)
		}
		conns = append(conns, c)
	}
	if _, err := read(t, g, open(1000), 4096); !errors.Is(err, errHalfOpen) {
		t.Errorf("beyond the bound: %v", err)
	}
	for g.halfOpen.Load() < mostHalfOpen {
		c, err := read(t, g, open(shareHalfOpen), 4096)
		if err != nil && g.halfOpen.Load() < mostHalfOpen {
			t.Errorf("a connection with a few: %v", err)
		}
		conns = append(conns, c)
	}
	if _, err := read(t, g, open(1), 4096); !errors.Is(err, errHalfOpen) {
		t.Errorf("beyond the last bound: %v", err)
	}
	for _, c := range conns {
		c.Close()
		c.Close() // counts once
	}
	if _, err := read(t, g, open(maxHalfOpen/2), 4096); err != nil {
		t.Errorf("after the others have left: %v", err)
	}
}

func TestGuard_BoundsTheConnectionsInAll(t *testing.T) {
	t.Parallel()
	g := NewGuard(2, 0)
	connect := func(host byte) (*guardedConn, error) { return g.admit(&textConn{ip: net.IPv4(192, 0, 2, host)}) }
	first, err := connect(1)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := connect(2); err != nil {
		t.Fatal(err)
	}
	if _, err := connect(3); !errors.Is(err, errTooMany) {
		t.Errorf("the third: %v", err)
	}
	if reason := g.Refuse(netip.MustParseAddr("192.0.2.3")); reason != accept.TooMany { // before anything is done for it
		t.Errorf("the third is refused for %q", reason)
	}
	first.Close()
	if _, err := connect(3); err != nil {
		t.Errorf("after the first has left: %v", err)
	}
}

func TestGuard_BoundsTheConnectionsOfAnAddress(t *testing.T) {
	t.Parallel()
	g := NewGuard(0, 2)
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

// What the guard costs a call: its frames are some twenty in a batch of ten calls. A call
// costs the service some 20 µs.
func BenchmarkGuard_Call(b *testing.B) {
	c, err := NewGuard(0, 0).admit(&textConn{ip: net.IPv4(192, 0, 2, 1)})
	if err != nil {
		b.Fatal(err)
	}
	c.read.skip = 0
	var text strings.Builder
	f := http2.NewFramer(&text, nil)
	const calls = 10
	for i := range calls {
		header(f, 2*i+1, false)
		_ = f.WriteData(uint32(2*i+1), true, make([]byte, 60))
	}
	_ = f.WriteWindowUpdate(0, 1)
	data := []byte(text.String())
	for b.Loop() {
		if err := c.watch(data); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*calls), "ns/call")
}
