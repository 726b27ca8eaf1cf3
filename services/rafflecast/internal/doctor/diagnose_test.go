package doctor

import (
	"context"
	"encoding/binary"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

const second = time.Second

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func status(code int, pairs ...string) answer {
	a := answer{status: code, proto: "HTTP/2.0", tls: "TLS 1.3", address: "192.0.2.1:443", took: 5 * time.Millisecond, header: http.Header{}}
	for i := 0; i < len(pairs); i += 2 {
		a.header.Set(pairs[i], pairs[i+1])
	}
	return a
}

func streamHead() answer {
	return status(200, "Content-Type", "text/event-stream; charset=utf-8", "Cache-Control", "no-cache, no-transform")
}

// lived returns a stream with the odds at once, and a heartbeat at each of these
// times, sent and come.
func lived(life time.Duration, how ending, beats ...time.Duration) stream {
	s := stream{head: streamHead(), ending: how, life: life, heard: 5 * time.Millisecond}
	s.events = []event{{name: oddsEvent, id: "1:1", sent: noon.Add(-time.Hour), came: noon, at: s.heard}}
	for _, at := range beats {
		s.events = append(s.events, event{name: "heartbeat", sent: noon.Add(at), came: noon.Add(at), at: at})
		s.longest, s.heard = max(s.longest, at-s.heard), at
	}
	return s
}

func every(step, end time.Duration) (times []time.Duration) {
	for at := step; at < end; at += step {
		times = append(times, at)
	}
	return times
}

// healthy returns what a good way shows.
func healthy() *measurements {
	m := &measurements{
		raffle: 1, reach: status(200, "Etag", `"1:1"`), plain: 5 * time.Millisecond,
		watched: []stream{lived(100*second, watching, 15*second, 30*second, 45*second, 60*second, 75*second, 90*second)},
		poll:    poll{wait: 60 * second, quiet: 60 * second},
		packed:  streamHead(), byField: kept, byQuery: kept,
		unknown: status(404, "Content-Type", "application/json"),
	}
	m.unknown.body = []byte(`{"error":{"code":"NOT_FOUND","message":"raffle 9 is not known"}}`)
	for range crowd {
		m.crowd = append(m.crowd, lived(second, watching))
	}
	return m
}

func settled() *Config {
	cfg := DefaultConfig()
	return &cfg
}

// shift moves when a heartbeat came, not when it was sent.
func shift(s *stream, i int, by time.Duration) {
	s.events[i].came, s.events[i].at = s.events[i].came.Add(by), s.events[i].at+by
}

func TestDiagnose(t *testing.T) {
	t.Parallel()
	cuts := func(lives ...stream) func(*measurements) { return func(m *measurements) { m.watched = lives } }
	for name, c := range map[string]struct {
		way   func(*measurements)
		check string // empty: all is ok
		want  string // verdict, or the first product
		text  string // in what was found or is to try
	}{
		"healthy": {func(*measurements) {}, "", "", ""},
		"clocks differ by an hour": {func(m *measurements) {
			for i := range m.watched[0].events {
				m.watched[0].events[i].sent = m.watched[0].events[i].sent.Add(time.Hour)
			}
		}, "", "", ""},
		"two gateways' clocks": {func(m *measurements) {
			other := lived(40*second, watching, 15*second, 30*second)
			for i := range other.events {
				other.events[i].sent = other.events[i].sent.Add(5 * second)
			}
			m.watched = []stream{lived(40*second, sentAway, 15*second, 30*second), other}
		}, "", "", ""},
		"sent away by a gateway": {cuts(lived(20*second, sentAway, 15*second), lived(30*second, watching, 15*second)), "", "", ""},
		"lived its life":         {cuts(lived(25*time.Minute, cut, every(15*second, 25*time.Minute)...)), "", "", ""},
		"a long wait is cut":     {func(m *measurements) { m.poll = poll{cut: 50 * second, fault: status(504)} }, "", "", ""},
		"a cache answers waits":  {func(m *measurements) { m.poll = poll{early: true, quiet: time.Millisecond} }, "", "", ""},
		"too busy": {func(m *measurements) {
			m.watched[0].longest, m.watched[0].heard, m.poll.quiet = second, 99*second, second
		}, "idle cuts", "unknown", "--raffle"},
		"the raffle ends":        {cuts(lived(5*second, finished)), "idle cuts", "unknown", "--raffle"},
		"15 s":                   {cuts(lived(15*second, cut)), "idle cuts", "Envoy", "timeout: 0s"},
		"15 s, heartbeat before": {cuts(lived(15*second, cut, 12*second)), "idle cuts", "Envoy", "timeouts.request"},
		"a way with 10 s":        {cuts(lived(10*second, cut), lived(10*second, cut)), "idle cuts", "nginx", "proxy_read_timeout"},
		"a slow beginning": {func(m *measurements) {
			slow := lived(second, cut)
			slow.heard = 400 * time.Millisecond
			m.watched = []stream{slow, lived(second, cut)}
		}, "idle cuts", "nginx", "proxy_read_timeout"},
		"30 s of life":        {cuts(lived(30*second, cut, 14*second, 28*second), lived(30*second, cut, 17*second)), "idle cuts", "Envoy", "max_stream_duration"},
		"silence of 10 s":     {cuts(lived(22*second, cut, 12*second), lived(27*second, cut, 17*second)), "idle cuts", "nginx", "proxy_read_timeout"},
		"accident":            {cuts(lived(33*second, cut, 17*second), lived(30*second, watching, 17*second)), "idle cuts", "nginx", "worker_shutdown_timeout"},
		"a short wait is cut": {func(m *measurements) { m.poll = poll{cut: 20 * second, fault: status(504, "Server", "awselb/2.0")} }, "idle cuts", "ALB", "idle_timeout.timeout_seconds"},
		"waits are refused":   {func(m *measurements) { m.poll = poll{fault: status(429)} }, "", "", ""},
		"HAProxy by its words": {func(m *measurements) {
			m.poll = poll{cut: 20 * second, fault: answer{status: 504, body: []byte("<h1>504</h1>\n" + haproxyGaveUp)}}
		}, "idle cuts", "HAProxy", "timeout server"},
		"nothing comes":              {cuts(stream{life: 100 * second}), "buffering", "FAULT", "nothing of the stream came in 1m40s"},
		"a head comes, nothing else": {cuts(stream{head: streamHead(), life: 100 * second}), "buffering", "nginx", "proxy_buffering off"},
		"the beginning is late": {func(m *measurements) {
			m.watched[0].events[0].at = 3 * second
			m.reach.header.Set("Cf-Ray", "x")
		}, "buffering", "Cloudflare", "Response Buffering"},
		"two at a time":         {func(m *measurements) { shift(&m.watched[0], 1, 15*second); shift(&m.watched[0], 3, 15*second) }, "buffering", "FAULT", "a heartbeat came 15.0 s after"},
		"no heartbeat":          {cuts(lived(100*second, watching)), "buffering", "FAULT", "silent for 1m40s"},
		"refused":               {cuts(stream{head: status(503), life: time.Millisecond}), "buffering", "unknown", "503"},
		"broken":                {cuts(stream{ending: cut, life: time.Millisecond, head: answer{err: errors.New("reset")}}), "buffering", "unknown", "reset"},
		"compressed":            {func(m *measurements) { m.packed.header.Set("Content-Encoding", "br") }, "compression", "FAULT", `"br"`},
		"held by a compressor":  {func(m *measurements) { m.packed = answer{err: context.DeadlineExceeded, took: 10 * second} }, "compression", "nginx", "gzip_types"},
		"no header":             {func(m *measurements) { m.byField = dropped }, "Last-Event-ID", "FAULT", "?lastEventId= does"},
		"no query":              {func(m *measurements) { m.byQuery = dropped }, "Last-Event-ID", "FAULT", "the header does"},
		"neither":               {func(m *measurements) { m.byField, m.byQuery = dropped, dropped }, "Last-Event-ID", "FAULT", "neither arrives"},
		"a busy raffle":         {func(m *measurements) { m.byField = unclear }, "Last-Event-ID", "unknown", "--raffle"},
		"few streams":           {func(m *measurements) { m.crowd[3] = stream{head: status(503)} }, "many streams", "nginx", "limit_conn"},
		"HTTP/1.1 with TLS":     {func(m *measurements) { m.reach.proto = "HTTP/1.1" }, "many streams", "FAULT", "six per host"},
		"HTTP/1.1 without TLS":  {func(m *measurements) { m.reach.proto, m.reach.tls = "HTTP/1.1", "" }, "", "", ""},
		"all come from a proxy": {tooManyOfOne, "many streams", "gateway", "--trusted-proxies"},
		"errors are replaced":   {func(m *measurements) { m.unknown.body = []byte("<h1>Lost</h1>") }, "errors", "FAULT", "404"},
		"not a stream":          {func(m *measurements) { m.watched[0].head.header.Set("Content-Type", "text/html") }, "reach", "FAULT", "text/html"},
		"may be transformed":    {func(m *measurements) { m.watched[0].head.header.Set("Cache-Control", "no-cache") }, "reach", "nginx", "proxy_hide_header"},
	} {
		m := healthy()
		c.way(m)
		findings := diagnose(settled(), m)
		if c.check == "" {
			if bad := slices.IndexFunc(findings, func(f finding) bool { return f.verdict != ok }); bad >= 0 {
				t.Errorf("%s: %+v", name, findings[bad])
			}
			continue
		}
		f := findings[slices.IndexFunc(findings, func(f finding) bool { return f.check == c.check })]
		var what strings.Builder
		what.WriteString(f.what)
		first := ""
		for i, s := range f.try {
			if i == 0 {
				first = string(s.product)
			}
			what.WriteString("\n" + s.text)
		}
		if (f.verdict.String() != c.want && first != c.want) || !strings.Contains(what.String(), c.text) {
			t.Errorf("%s: %s, %s first: %s", name, f.verdict, first, what.String())
		}
	}
}

func tooManyOfOne(m *measurements) {
	refused := status(429)
	refused.body = []byte(`{"error":{"code":"RESOURCE_EXHAUSTED","message":"too many"}}`)
	m.crowd[3] = stream{head: refused}
}

// The setting of a fault is named only where the fault is.
func TestOnlyWhatIsWrong(t *testing.T) {
	t.Parallel()
	m := healthy()
	m.watched = []stream{lived(10*second, cut), lived(10*second, cut)}
	for _, f := range diagnose(settled(), m) {
		if (f.verdict == faulty) != (f.check == "idle cuts") {
			t.Errorf("%+v", f)
		}
		for _, s := range f.try {
			if strings.Contains(s.text, "buffering") || strings.Contains(s.text, "Last-Event-ID") {
				t.Errorf("%+v", s)
			}
		}
	}
}

// numbers reads what a fuzzer made up.
type numbers []byte

func (n *numbers) next() int64 {
	if len(*n) < 2 {
		return 0
	}
	v := int64(binary.LittleEndian.Uint16(*n))
	*n = (*n)[2:]
	return v
}

func (n *numbers) span() time.Duration { return time.Duration(n.next()) * 10 * time.Millisecond }

func (n *numbers) head() answer {
	a := answer{status: []int{0, 200, 204, 404, 429, 503, 504}[n.next()%7], took: n.span(), header: http.Header{}}
	a.header.Set([]string{"Server", "Via", "Content-Encoding", "Content-Type"}[n.next()%4], []string{"nginx", "envoy", "gzip", "text/event-stream", ""}[n.next()%5])
	if a.status == 0 {
		a.err, a.header = errors.New("broken"), nil
	}
	return a
}

func (n *numbers) stream() stream {
	s := stream{head: n.head(), ending: ending(n.next() % 4), life: n.span(), heard: n.span(), longest: n.span()}
	for range n.next() % 5 {
		at := n.span()
		s.events = append(s.events, event{name: []string{"heartbeat", oddsEvent, "reset"}[n.next()%3], at: at, came: noon.Add(at), sent: noon.Add(n.span())})
	}
	return s
}

// Whatever was measured, each check says one thing, and a setting to change
// where and only where there is a fault.
func FuzzDiagnose(f *testing.F) {
	f.Add([]byte("0123456789012345678901234567890123456789"))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		n := numbers(data)
		m := &measurements{reach: n.head(), plain: n.span(), packed: n.head(), unknown: n.head(), byField: resumed(n.next() % 3), byQuery: resumed(n.next() % 3)}
		m.poll = poll{wait: n.span(), quiet: n.span(), cut: n.span(), fault: n.head(), early: n.next()%2 == 0}
		for range n.next() % 7 {
			m.watched = append(m.watched, n.stream())
		}
		for range n.next() % 11 {
			m.crowd = append(m.crowd, n.stream())
		}
		findings := diagnose(settled(), m)
		if len(findings) != 7 {
			t.Fatalf("%d findings", len(findings))
		}
		for i, f := range findings {
			if f.what == "" || strings.Contains(f.what, "%!") || (f.verdict == faulty) != (len(f.try) > 0) {
				t.Errorf("%+v", f)
			}
			if slices.IndexFunc(findings, func(other finding) bool { return other.check == f.check }) != i {
				t.Errorf("%s says two things", f.check)
			}
		}
	})
}

func TestWhoGaveUp(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		answer answer
		cut    bool
	}{
		"nginx":            {answer{status: 504, took: 10 * second}, true},
		"Cloudflare":       {answer{status: 524, took: 100 * second}, true},
		"broken":           {answer{err: errors.New("EOF"), took: 10 * second}, true},
		"refused":          {answer{status: 429, took: 10 * second}, false},
		"refused at once":  {answer{status: 502, took: time.Millisecond}, false},
		"ended by gateway": {answer{status: 504, took: 10 * second, body: []byte(`{"error":{"code":"X","message":"x"}}`)}, false},
	} {
		var p poll
		if p.refusedOrCut(c.answer); (p.cut > 0) != c.cut {
			t.Errorf("%s: cut after %v", name, p.cut)
		}
	}
}
