package doctor

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rafflecast/rafflecast/services/rafflecast/internal/sseclient"
)

const second = time.Second

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func responseWith(status int, header ...string) response {
	r := response{
		status:  status,
		proto:   "HTTP/2.0",
		tls:     "TLS 1.3",
		address: "192.0.2.1:443",
		took:    5 * time.Millisecond,
		header:  http.Header{},
	}
	for i := 0; i < len(header); i += 2 {
		r.header.Set(header[i], header[i+1])
	}
	return r
}

func streamHead() response {
	return responseWith(200, "Content-Type", "text/event-stream; charset=utf-8", "Cache-Control", "no-cache, no-transform")
}

// streamOf returns a stream that had the odds at once, and a heartbeat after each of
// these times.
func streamOf(life time.Duration, how ending, heartbeats ...time.Duration) stream {
	s := stream{head: streamHead(), ending: how, life: life, lastRead: 5 * time.Millisecond}
	s.events = []event{
		{name: sseclient.OddsEvent, id: "1:1", sentAt: noon.Add(-time.Hour), receivedAt: noon, after: s.lastRead},
	}
	for _, after := range heartbeats {
		s.events = append(
			s.events,
			event{name: sseclient.HeartbeatEvent, sentAt: noon.Add(after), receivedAt: noon.Add(after), after: after},
		)
		s.longestSilence, s.lastRead = max(s.longestSilence, after-s.lastRead), after
	}
	return s
}

func every(step, end time.Duration) (times []time.Duration) {
	for at := step; at < end; at += step {
		times = append(times, at)
	}
	return times
}

// healthy returns measurements without a fault.
func healthy() *measurements {
	m := &measurements{
		raffleID: 1,
		plain:    responseWith(200, "Etag", `"1:1"`),
		streams: []stream{
			streamOf(100*second, stillOpen, 15*second, 30*second, 45*second, 60*second, 75*second, 90*second),
		},
		longPoll:   longPoll{answeredAfter: 60 * second},
		compressed: streamHead(),
		byHeader:   resumed,
		byQuery:    resumed,
		notFound:   responseWith(404, "Content-Type", "application/json"),
	}
	m.notFound.body = []byte(`{"error":{"code":"NOT_FOUND","message":"raffle 9 is not known"}}`)
	for range concurrentStreams {
		m.concurrent = append(m.concurrent, streamOf(second, stillOpen))
	}
	return m
}

// diagnoseDefault diagnoses measurements with default settings.
func diagnoseDefault(m *measurements) []finding {
	cfg := DefaultConfig()
	return diagnose(&cfg, defaultLimits(&cfg), m)
}

// delay lets an event arrive later after it was sent.
func delay(s *stream, i int, by time.Duration) {
	s.events[i].receivedAt, s.events[i].after = s.events[i].receivedAt.Add(by), s.events[i].after+by
}

func TestDiagnose_FindsEachFault(t *testing.T) {
	t.Parallel()
	cuts := func(lives ...stream) func(*measurements) { return func(m *measurements) { m.streams = lives } }
	for name, c := range map[string]struct {
		change func(*measurements) // of healthy measurements
		check  string              // "": every check passes
		want   string              // the verdict, or the product that comes first
		text   string              // in the finding or its advice
	}{
		"healthy": {func(*measurements) {}, "", "", ""},
		"clocks differ by an hour": {func(m *measurements) {
			for i := range m.streams[0].events {
				m.streams[0].events[i].sentAt = m.streams[0].events[i].sentAt.Add(time.Hour)
			}
		}, "", "", ""},
		"the first odds are old": {func(m *measurements) {
			next := event{name: sseclient.OddsEvent, id: "1:2", sentAt: noon.Add(99 * second), receivedAt: noon.Add(99 * second), after: 99 * second}
			m.streams[0].events = append(m.streams[0].events, next)
		}, "", "", ""},
		"odds are late": {func(m *measurements) {
			for i, late := range []time.Duration{0, 4 * second} {
				at := noon.Add(time.Duration(90+i) * second)
				m.streams[0].events = append(m.streams[0].events, event{name: sseclient.OddsEvent, sentAt: at, receivedAt: at.Add(late)})
			}
		}, "buffering", "FAULT", "an event arrived 4.0 s after"},
		"two gateways' clocks": {func(m *measurements) {
			other := streamOf(40*second, stillOpen, 15*second, 30*second)
			for i := range other.events {
				other.events[i].sentAt = other.events[i].sentAt.Add(5 * second)
			}
			m.streams = []stream{streamOf(40*second, drained, 15*second, 30*second), other}
		}, "", "", ""},
		"drained by a gateway":  {cuts(streamOf(20*second, drained, 15*second), streamOf(30*second, stillOpen, 15*second)), "", "", ""},
		"reached its lifetime":  {cuts(streamOf(25*time.Minute, truncated, every(15*second, 25*time.Minute)...)), "", "", ""},
		"a long wait is cut":    {func(m *measurements) { m.longPoll = longPoll{cutAfter: 50 * second, failure: responseWith(504)} }, "", "", ""},
		"a cache answers waits": {func(m *measurements) { m.longPoll = longPoll{early: true, answeredAfter: time.Millisecond} }, "", "", ""},
		"too many odds": {func(m *measurements) {
			m.streams[0].longestSilence, m.streams[0].lastRead, m.longPoll.answeredAfter = second, 99*second, second
		}, "idle timeout", "unknown", "--raffle"},
		"the raffle ends":        {cuts(streamOf(5*second, raffleEnded)), "idle timeout", "unknown", "--raffle"},
		"15 s":                   {cuts(streamOf(15*second, truncated)), "idle timeout", "Envoy", "timeout: 0s"},
		"15 s, heartbeat before": {cuts(streamOf(15*second, truncated, 12*second)), "idle timeout", "Envoy", "timeouts.request"},
		"a limit of 10 s":        {cuts(streamOf(10*second, truncated), streamOf(10*second, truncated)), "idle timeout", "nginx", "proxy_read_timeout"},
		"a slow beginning": {func(m *measurements) {
			slow := streamOf(second, truncated)
			slow.lastRead = 400 * time.Millisecond
			m.streams = []stream{slow, streamOf(second, truncated)}
		}, "idle timeout", "nginx", "proxy_read_timeout"},
		"30 s of life":    {cuts(streamOf(30*second, truncated, 14*second, 28*second), streamOf(30*second, truncated, 17*second)), "idle timeout", "Envoy", "max_stream_duration"},
		"silence of 10 s": {cuts(streamOf(22*second, truncated, 12*second), streamOf(27*second, truncated, 17*second)), "idle timeout", "nginx", "proxy_read_timeout"},
		"accident":        {cuts(streamOf(33*second, truncated, 17*second), streamOf(30*second, stillOpen, 17*second)), "idle timeout", "nginx", "worker_shutdown_timeout"},
		"a short wait is cut": {func(m *measurements) {
			m.longPoll = longPoll{cutAfter: 20 * second, failure: responseWith(504, "Server", "awselb/2.0")}
		}, "idle timeout", "ALB", "idle_timeout.timeout_seconds"},
		"waits are refused": {func(m *measurements) { m.longPoll = longPoll{failure: responseWith(429)} }, "", "", ""},
		"HAProxy by its own 504": {func(m *measurements) {
			m.longPoll = longPoll{cutAfter: 20 * second, failure: response{status: 504, body: []byte("<h1>504</h1>\n" + haproxyTimeoutBody)}}
		}, "idle timeout", "HAProxy", "timeout server"},
		"nothing arrives":              {cuts(stream{life: 100 * second}), "buffering", "FAULT", "nothing of the stream arrived in 1m40s"},
		"a head arrives, nothing else": {cuts(stream{head: streamHead(), life: 100 * second}), "buffering", "nginx", "proxy_buffering off"},
		"the beginning is late": {func(m *measurements) {
			m.streams[0].events[0].after = 3 * second
			m.plain.header.Set("Cf-Ray", "x")
		}, "buffering", "Cloudflare", "Response Buffering"},
		"two at a time":                {func(m *measurements) { delay(&m.streams[0], 1, 15*second); delay(&m.streams[0], 3, 15*second) }, "buffering", "FAULT", "a heartbeat arrived 15.0 s after"},
		"no heartbeat":                 {cuts(streamOf(100*second, stillOpen)), "buffering", "FAULT", "silent for 1m40s"},
		"refused":                      {cuts(stream{head: responseWith(503), life: time.Millisecond}), "buffering", "unknown", "503"},
		"broken":                       {cuts(stream{ending: truncated, life: time.Millisecond, head: response{err: errors.New("reset")}}), "buffering", "unknown", "reset"},
		"compressed":                   {func(m *measurements) { m.compressed.header.Set("Content-Encoding", "br") }, "compression", "FAULT", `"br"`},
		"delayed by a compressor":      {func(m *measurements) { m.compressed = response{err: context.DeadlineExceeded, took: 10 * second} }, "compression", "nginx", "gzip_types"},
		"no header":                    {func(m *measurements) { m.byHeader = notResumed }, "Last-Event-ID", "FAULT", "?lastEventId= does"},
		"no query":                     {func(m *measurements) { m.byQuery = notResumed }, "Last-Event-ID", "FAULT", "the header does"},
		"neither":                      {func(m *measurements) { m.byHeader, m.byQuery = notResumed, notResumed }, "Last-Event-ID", "FAULT", "neither the header nor"},
		"a busy raffle":                {func(m *measurements) { m.byHeader = resumeUnknown }, "Last-Event-ID", "unknown", "--raffle"},
		"few streams":                  {func(m *measurements) { m.concurrent[3] = stream{head: responseWith(503)} }, "many streams", "nginx", "limit_conn"},
		"HTTP/1.1 with TLS":            {func(m *measurements) { m.plain.proto = "HTTP/1.1" }, "many streams", "FAULT", "six per host"},
		"HTTP/1.1 without TLS":         {func(m *measurements) { m.plain.proto, m.plain.tls = "HTTP/1.1", "" }, "", "", ""},
		"all clients have one address": {tooManyOfOneClient, "many streams", "gateway", "--trusted-proxies"},
		"errors are replaced":          {func(m *measurements) { m.notFound.body = []byte("<h1>Lost</h1>") }, "errors", "FAULT", "404"},
		"not a stream":                 {func(m *measurements) { m.streams[0].head.header.Set("Content-Type", "text/html") }, "reach", "FAULT", "text/html"},
		"may be transformed":           {func(m *measurements) { m.streams[0].head.header.Set("Cache-Control", "no-cache") }, "reach", "nginx", "proxy_hide_header"},
	} {
		m := healthy()
		c.change(m)
		findings := diagnoseDefault(m)
		if c.check == "" {
			if bad := slices.IndexFunc(findings, func(f finding) bool { return f.verdict != ok }); bad >= 0 {
				t.Errorf("%s: %+v", name, findings[bad])
			}
			continue
		}
		f := findings[slices.IndexFunc(findings, func(f finding) bool { return f.check == c.check })]
		text, first := f.text, ""
		for i, a := range f.advice {
			if i == 0 {
				first = string(a.product)
			}
			text += "\n" + a.text
		}
		if (f.verdict.String() != c.want && first != c.want) || !strings.Contains(text, c.text) {
			t.Errorf("%s: %s, %s first: %s", name, f.verdict, first, text)
		}
	}
}

func tooManyOfOneClient(m *measurements) {
	refused := responseWith(429)
	refused.body = []byte(`{"error":{"code":"RESOURCE_EXHAUSTED","message":"too many"}}`)
	m.concurrent[3] = stream{head: refused}
}

func TestDiagnose_AdvisesOnlyOnTheFault(t *testing.T) {
	t.Parallel()
	m := healthy()
	m.streams = []stream{streamOf(10*second, truncated), streamOf(10*second, truncated)}
	for _, f := range diagnoseDefault(m) {
		if (f.verdict == faulty) != (f.check == "idle timeout") {
			t.Errorf("%+v", f)
		}
		for _, a := range f.advice {
			if strings.Contains(a.text, "buffering") || strings.Contains(a.text, "Last-Event-ID") {
				t.Errorf("%+v", a)
			}
		}
	}
}

func TestLongPoll_DistinguishesCutsFromRefusals(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		response response
		cut      bool
	}{
		"nginx":            {response{status: 504, took: 10 * second}, true},
		"Cloudflare":       {response{status: 524, took: 100 * second}, true},
		"broken":           {response{err: errors.New("EOF"), took: 10 * second}, true},
		"refused":          {response{status: 429, took: 10 * second}, false},
		"refused at once":  {response{status: 502, took: time.Millisecond}, false},
		"ended by gateway": {response{status: 504, took: 10 * second, body: []byte(`{"error":{"code":"X","message":"x"}}`)}, false},
	} {
		var p longPoll
		if p.fail(c.response); (p.cutAfter > 0) != c.cut {
			t.Errorf("%s: cut after %v", name, p.cutAfter)
		}
	}
}
