package accept

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// port is a server whose connections are bounded.
type port struct {
	t       *testing.T
	address string
	bounds  *Bounds

	mu      sync.Mutex
	refused []string // reasons
}

func serve(t *testing.T, cfg Config) *port {
	t.Helper()
	return serveAt(t, "127.0.0.1:0", cfg)
}

func serveAt(t *testing.T, address string, cfg Config) *port {
	t.Helper()
	var lc net.ListenConfig
	lc.SetMultipathTCP(false) // as config.Listen has it
	l, err := lc.Listen(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	p := &port{t: t, address: l.Addr().String()}
	cfg.Refused = func(reason string) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.refused = append(p.refused, reason)
	}
	p.bounds = New(cfg)
	listener := p.bounds.Listen(l)
	server, ended := &http.Server{Handler: http.NotFoundHandler(), ConnState: p.bounds.OnState}, make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	t.Cleanup(func() { server.Close(); <-ended })
	return p
}

// answers reports whether a new connection from an address is answered.
func (p *port) answers(from string) bool {
	p.t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	c, err := d.DialContext(p.t.Context(), "tcp", p.address)
	if err != nil { // it was closed before it was seen to be open
		return false
	}
	p.t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		p.t.Fatal(err)
	}
	_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	n, _ := c.Read(make([]byte, 12))
	return n > 0
}

func (p *port) wantRefused(want ...string) {
	p.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if !slices.Equal(p.refused, want) {
		p.t.Errorf("refused: %v, want %v", p.refused, want)
	}
}

func TestBounds_CloseConnectionsBeyondTheLimit(t *testing.T) {
	t.Parallel()
	p := serve(t, Config{Limit: 3, Others: func() int { return 1 }})
	for i, want := range []bool{true, true, false, false} { // one of the three is another's
		if p.answers("127.0.0.1") != want {
			t.Errorf("connection %d: answered %t", i+1, !want)
		}
	}
	p.wantRefused(TooMany, TooMany)
}

// A connection that leaves the server, such as one whose stream is served elsewhere, is not
// open here any more: Others counts it.
func TestBounds_CountOpenConnectionsOnce(t *testing.T) {
	t.Parallel()
	b := New(Config{Limit: 1})
	for _, leaves := range []http.ConnState{http.StateHijacked, http.StateClosed} {
		for _, state := range []http.ConnState{http.StateNew, http.StateActive, http.StateIdle} {
			b.OnState(nil, state)
		}
		if !b.IsFull() {
			t.Errorf("before %v: the connection is not counted", leaves)
		}
		if b.OnState(nil, leaves); b.IsFull() {
			t.Errorf("after %v: the connection is still counted", leaves)
		}
	}
}

func TestBounds_CloseConnectionsThatComeTooFast(t *testing.T) {
	t.Parallel()
	p := serve(t, Config{PerSecond: 1, Trusted: []netip.Prefix{netip.MustParsePrefix("127.0.1.0/24")}})
	var answered []bool
	start := time.Now()
	for range 4 {
		answered = append(answered, p.answers("127.0.0.2"))
	}
	took := time.Since(start)
	if !slices.Equal(answered[:3], []bool{true, true, true}) || (took < time.Second && answered[3]) {
		t.Errorf("answered within %v: %v", took, answered)
	}
	for from, want := range map[string]bool{"127.0.0.3": true, "127.0.1.1": true} {
		if p.answers(from) != want {
			t.Errorf("from %s: answered %t", from, !want)
		}
	}
	for range 10 {
		if !p.answers("127.0.1.1") {
			t.Error("a trusted proxy is bounded")
		}
	}
}

// What never reaches the listener counts for the same rate.
func TestBounds_AllowConnectionsWithinTheRate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var refused []string
		b := New(Config{
			PerSecond: 2, Trusted: []netip.Prefix{netip.MustParsePrefix("127.0.1.0/24")},
			Refused: func(reason string) { refused = append(refused, reason) },
		})
		for i := range 7 {
			if got := b.Allows("192.0.2.1:80"); got != (i < 6) { // of three seconds at once
				t.Errorf("connection %d: allowed %t", i+1, got)
			}
			if !b.Allows("127.0.1.1:80") {
				t.Error("a trusted proxy is bounded")
			}
		}
		if !slices.Equal(refused, []string{TooFast}) || !b.Allows("192.0.2.2:80") {
			t.Errorf("refused: %v", refused)
		}
		time.Sleep(time.Second)
		if !b.Allows("192.0.2.1:80") {
			t.Error("a second later nothing is allowed")
		}
	})
}

func TestBounds_CloseConnectionsOfBannedAddresses(t *testing.T) {
	t.Parallel()
	p := serve(t, Config{Refuse: func(a netip.Addr) string {
		if a == netip.MustParseAddr("127.0.0.2") {
			return Banned
		}
		return ""
	}})
	if p.answers("127.0.0.2") || !p.answers("127.0.0.3") {
		t.Error("the banned address is answered, or another is not")
	}
	p.wantRefused(Banned, Dropped) // the kernel sees to the next ones
}

// failing is a listener that fails, and then is closed.
type failing struct {
	net.Listener
	errs []error
}

func (f *failing) Accept() (net.Conn, error) {
	err := f.errs[0]
	f.errs = f.errs[1:]
	return nil, err
}

func TestBounds_TellOfFailures(t *testing.T) {
	t.Parallel()
	var told []error
	l := New(Config{Failed: func(err error) { told = append(told, err) }}).Listen(&failing{errs: []error{syscall.EMFILE, net.ErrClosed}})
	for range 2 {
		if _, err := l.Accept(); err == nil {
			t.Error("no error")
		}
	}
	if len(told) != 1 || !errors.Is(told[0], syscall.EMFILE) {
		t.Errorf("told of %v", told)
	}
}

func TestFilesLimit_KeepsFilesBack(t *testing.T) {
	t.Parallel()
	for files, want := range map[int]int{0: 0, 10: 1, 1000: 936, 20000: 19000} {
		if got := filesLimit(files); got != want {
			t.Errorf("%d files: %d", files, got)
		}
	}
}

func TestNetworkOf_CountsIPv6ByNetwork(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		one, other string
		same       bool
	}{
		{"192.0.2.1:1", "192.0.2.1:2", true},
		{"192.0.2.1:1", "192.0.2.2:1", false},
		{"[::ffff:192.0.2.1]:1", "192.0.2.1:1", true},
		{"[2001:db8::1]:1", "[2001:db8::2]:1", true},
		{"[2001:db8:0:1::1]:1", "[2001:db8::1]:1", false},
		{"[fe80::1%eth0]:1", "[fe80::2%eth1]:1", true},
		{"pipe", "@", true},
	} {
		if same := NetworkOf(c.one) == NetworkOf(c.other); same != c.same {
			t.Errorf("%s and %s: %t", c.one, c.other, same)
		}
	}
}

func TestBounds_KnowWhoConnectsOften(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := New(Config{PerSecond: 100, Trusted: []netip.Prefix{netip.MustParsePrefix("192.0.2.8/32")}})
		for range 10 {
			if b.IsFrequent("192.0.2.1:80") {
				t.Fatal("the first connections of an address are frequent")
			}
		}
		for range 3 {
			if !b.IsFrequent("192.0.2.1:81") {
				t.Fatal("the eleventh connection at once is not frequent")
			}
			time.Sleep(500 * time.Millisecond)
			if b.IsFrequent("192.0.2.1:82") {
				t.Fatal("another one half a second later is frequent")
			}
		}
		for range 100 {
			if b.IsFrequent("192.0.2.8:80") {
				t.Fatal("those of a proxy are frequent")
			}
			if New(Config{}).IsFrequent("192.0.2.1:80") {
				t.Fatal("without a bound, they are frequent")
			}
		}
	})
}
