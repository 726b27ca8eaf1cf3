package e2e_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/procfs"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
)

// What a flood may cost the service. A live megabyte of memory is one after a garbage
// collection; the bound of what the process has is generous, since it includes garbage.
// Without the service's own bounds these inputs took 300 to 600 MB and 2 s.
const (
	floodLive     = 20 << 20
	floodResident = 100 << 20
	floodCPU      = 500 * time.Millisecond
)

// frames writes a flood.
type frames struct{ *http2.Framer }

// block returns the headers of a call.
func block(method string, more ...hpack.HeaderField) []byte {
	var text strings.Builder
	encoder := hpack.NewEncoder(&text)
	for _, field := range append([]hpack.HeaderField{
		{Name: ":method", Value: "POST"},
		{Name: ":scheme", Value: "http"},
		{Name: ":path", Value: method},
		{Name: ":authority", Value: "localhost"},
		{Name: "content-type", Value: "application/grpc"},
		{Name: "te", Value: "trailers"},
	}, more...) {
		field.Sensitive = true // in no table, so that the block may be repeated
		_ = encoder.WriteField(field)
	}
	return []byte(text.String())
}

// open begins call number i without its request.
func (f *frames) open(i int, header []byte) uint32 {
	stream := uint32(2*i + 1)
	_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: header, EndHeaders: true})
	return stream
}

const (
	enterMethod  = "/raffle.v1.ParticipationService/Enter"
	streamMethod = "/raffle.v1.ParticipationService/EnterStream"
	watchMethod  = "/grpc.health.v1.Health/Watch"
)

// floods are what a client may write on one connection. Errors are ignored: it is cut off.
func floods() map[string]func(*frames) {
	opened := func(method string) func(*frames) {
		return func(f *frames) {
			header := block(method)
			for i := range 25_000 {
				f.open(i, header)
			}
		}
	}
	reset := func(method, request string) func(*frames) {
		return func(f *frames) {
			header := block(method)
			for i := range 20_000 {
				stream := f.open(i, header)
				if request != "" {
					_ = f.WriteData(stream, true, []byte(request))
				}
				_ = f.WriteRSTStream(stream, http2.ErrCodeCancel)
			}
		}
	}
	return map[string]func(*frames){
		"calls without requests":           opened(enterMethod),
		"streams without entries":          opened(streamMethod),
		"calls of a method that is none":   opened("/raffle.v1.ParticipationService/None"),
		"health streams without a request": opened(watchMethod),
		"cancelled calls":                  reset(enterMethod, ""),
		"cancelled streams":                reset(streamMethod, ""),
		"cancelled calls with requests":    reset(enterMethod, "\x00\x00\x00\x00\x05\x08\x01\x12\x01a"),
		"cancelled health streams":         reset(watchMethod, "\x00\x00\x00\x00\x00"),
		"half a message in each call": func(f *frames) {
			header := block(enterMethod)
			for i := range 25_000 {
				_ = f.WriteData(f.open(i, header), false, append([]byte{0, 0, 0, 0x3f, 0xff}, make([]byte, 1000)...))
			}
		},
		"references to the header table": func(f *frames) {
			first := append(block(enterMethod), "\x40\x01x\x01y"...) // into the table, as number 62
			refs := []byte(strings.Repeat("\xbe", 16_000))
			for i := range 12 {
				stream := uint32(2*i + 1)
				_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: first})
				for range 30 {
					_ = f.WriteContinuation(stream, false, refs)
				}
				_ = f.WriteContinuation(stream, true, nil)
			}
		},
		"headers without an end": func(f *frames) {
			_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block(enterMethod)})
			for range 25_000 {
				_ = f.WriteContinuation(1, false, nil)
			}
		},
		"pings":    func(f *frames) { repeat(200_000, func() error { return f.WritePing(false, [8]byte{}) }) },
		"settings": func(f *frames) { repeat(200_000, func() error { return f.WriteSettings() }) },
		"frames of an unknown type": func(f *frames) {
			repeat(200_000, func() error { return f.WriteRawFrame(200, 0, 0, nil) })
		},
	}
}

func repeat(n int, one func() error) {
	for range n {
		if one() != nil {
			return
		}
	}
}

// TestHostile_FloodsOfOneClientCostLittle sends each flood on four connections of a
// client, and on those that it opens when it is cut off, to a service of its own.
func TestHostile_FloodsOfOneClientCostLittle(t *testing.T) {
	t.Parallel()
	b := setupWith(t, []string{"GOMEMLIMIT=200MiB"}, nil)
	id := b.client.create(t, "A", 1)
	i := 0
	for name, flood := range floods() {
		i++
		before := b.participationUsage(t)
		for conn := range 4 {
			b.flood(t, fmt.Sprintf("127.0.%d.%d", i, 1+conn/2), flood)
		}
		// Who waits longer fails by its deadline.
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		if _, err := b.client.entries.Enter(ctx, &rafflev1.EnterRequest{RaffleId: id, MemberId: "honest-" + strconv.Itoa(i)}); err != nil {
			t.Errorf("%s: an honest caller: %v", name, err)
		}
		cancel()
		after := b.participationUsage(t)
		t.Logf("%-35s %4d KiB live, %4d KiB in all, %v of CPU", name, (after.live-before.live)>>10, (after.resident-before.resident)>>10, after.cpu-before.cpu)
		if after.live-before.live > floodLive || after.resident-before.resident > floodResident || after.cpu-before.cpu > floodCPU {
			t.Errorf("%s cost too much", name)
		}
	}
}

// flood connects to participation from an address, and writes a flood. It returns once
// the service has read all of it, or has closed the connection. The connection stays open
// until the test ends.
func (b *testBundle) flood(t *testing.T, from string, flood func(*frames)) {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	c, err := d.DialContext(t.Context(), "tcp", b.grpc)
	if err != nil {
		return // refused
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	pinged := make(chan struct{})
	go func() {
		defer close(pinged)
		reader := http2.NewFramer(nil, c)
		for {
			frame, err := reader.ReadFrame()
			if ping, ok := frame.(*http2.PingFrame); err != nil || ok && ping.IsAck() && ping.Data == [8]byte{'l', 'a', 's', 't'} {
				return
			}
		}
	}()
	f := &frames{http2.NewFramer(c, nil)}
	_, _ = io.WriteString(c, http2.ClientPreface)
	_ = f.WriteSettings()
	flood(f)
	_ = f.WritePing(false, [8]byte{'l', 'a', 's', 't'})
	<-pinged
}

// usage is what a service takes.
type usage struct {
	live, resident int // bytes
	cpu            time.Duration
}

var liveMetric = regexp.MustCompile(`(?m)^go_memstats_(?:heap_inuse|stack_inuse)_bytes (\S+)$`)

// participationUsage collects participation's garbage and returns what it takes.
func (b *testBundle) participationUsage(t *testing.T) (u usage) {
	t.Helper()
	for _, path := range []string{"/debug/pprof/heap?gc=1", "/metrics"} {
		resp, err := http.Get("http://" + b.ops + path)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		for _, found := range liveMetric.FindAllStringSubmatch(string(text), -1) {
			bytes, err := strconv.ParseFloat(found[1], 64)
			if err != nil {
				t.Fatal(err)
			}
			u.live += int(bytes)
		}
	}
	process, err := procfs.NewProc(b.participation.cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	stat, err := process.Stat()
	if err != nil {
		t.Fatal(err)
	}
	u.resident, u.cpu = stat.ResidentMemory(), time.Duration(stat.CPUTime()*float64(time.Second))
	return u
}
