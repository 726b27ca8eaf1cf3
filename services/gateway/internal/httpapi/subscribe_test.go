package httpapi

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/rafflecast/rafflecast/services/gateway/internal/odds"
	"github.com/rafflecast/rafflecast/services/test/testenv"
)

const subscribe1 = "/api/v1/raffle/1/subscribe"

func TestSubscribe_SendsNewestAtOnce(t *testing.T) {
	t.Parallel()
	forEach(t, allTransports, nil, func(b *testBundle) {
		b.publish(update(1, 57))
		s := b.subscribe(subscribe1)
		for name, want := range map[string]string{
			"Content-Type":      "text/event-stream; charset=utf-8",
			"Cache-Control":     "no-cache, no-transform",
			"X-Accel-Buffering": "no",
			"Content-Encoding":  "",
		} {
			if got := s.Header.Get(name); got != want {
				b.t.Errorf("%s: %q", name, got)
			}
		}
		want := "id: 1:e:57\nevent: raffle-winning-probability\ndata: {\"id\":1,\"version\":57,\"state\":\"OPEN\"}\n\n"
		if got := s.opening(); got != want {
			b.t.Errorf("got %q", got)
		}
		b.publish(update(1, 58))
		s.expect(frame(1, 58))
	})
}

func TestSubscribe_DrawsRetryPerConnection(t *testing.T) {
	t.Parallel()
	forEach(t, allTransports, nil, func(b *testBundle) {
		b.publish(update(1, 1))
		seen := make(map[string]bool)
		for range 10 {
			s := b.subscribe(subscribe1)
			first, _, _ := strings.Cut(s.next(), "\n")
			seen[first] = true
			s.Body.Close()
		}
		if len(seen) < 2 {
			b.t.Errorf("always %v", seen)
		}
	})
}

func TestSubscribe_BurstEndsWithItsNewest(t *testing.T) {
	t.Parallel()
	forEach(t, allTransports, nil, func(b *testBundle) {
		b.publish(update(1, 1))
		s := b.subscribe(subscribe1)
		s.opening()
		for v := range int64(100) {
			b.publish(update(1, v+2))
		}
		last := int64(1)
		for last < 101 {
			block := s.next()
			id, _, _ := strings.Cut(strings.TrimPrefix(block, "id: "), "\n")
			_, seen, ok := odds.ParseID(id)
			version := seen.Version
			if !ok || version <= last {
				b.t.Fatalf("after version %d: %q", last, block)
			}
			last = version
		}
	})
}

func TestSubscribe_HeartbeatBreaksSilence(t *testing.T) {
	t.Parallel()
	forEach(t, allTransports, func(b *testBundle) {
		if b.onSockets {
			b.fanout.Heartbeat = 100 * time.Millisecond
		}
	}, func(b *testBundle) {
		b.publish(update(1, 1))
		s := b.subscribe(subscribe1)
		s.opening()
		for range 5 {
			from := time.Now()
			if block := s.next(); !isHeartbeat(block) {
				b.t.Errorf("got %q", block)
			}
			if took := time.Since(from); !b.onSockets && (took < b.fanout.Heartbeat*8/10 || took > b.fanout.Heartbeat*12/10) {
				b.t.Errorf("after %v", took)
			}
		}
	})
}

func TestSubscribe_EndsAfterLifetime(t *testing.T) {
	t.Parallel()
	forEach(t, allTransports, func(b *testBundle) {
		if b.onSockets {
			b.fanout.Lifetime = 300 * time.Millisecond
		}
	}, func(b *testBundle) {
		b.publish(update(1, 1))
		from := time.Now()
		s := b.subscribe(subscribe1)
		for s.next() != "" {
		}
		if took := time.Since(from); took < b.fanout.Lifetime*8/10 || (!b.onSockets && took > b.fanout.Lifetime*12/10) {
			b.t.Errorf("it lived for %v", took)
		}
		testenv.Eventually(b.t, "the connection is forgotten", 10*time.Second, func() bool { return b.hub.Open() == 0 })
	})
}

func TestSubscribe_FinalEventEndsTheStream(t *testing.T) {
	t.Parallel()
	forEach(t, allTransports, nil, func(b *testBundle) {
		b.publish(update(1, 1))
		s := b.subscribe(subscribe1)
		s.opening()
		b.publish(finalUpdate(1, 2))
		s.expect(finalFrame(1, 2), "")

		back := b.subscribe(subscribe1)
		if got := back.opening(); got != finalFrame(1, 2) {
			b.t.Errorf("a new client: %q", got)
		}
		back.expect("")
		if status, body := b.body(http.MethodGet, subscribe1, "Last-Event-ID", "1:e:2"); status != http.StatusNoContent || body != "" {
			b.t.Errorf("with its id: %d %q", status, body)
		}
		if status, _ := b.body(http.MethodGet, subscribe1+"?lastEventId=1:e:2"); status != http.StatusNoContent {
			b.t.Errorf("with its id in the query: %d", status)
		}
	})
}

func TestSubscribe_HeadOpensNoStream(t *testing.T) {
	t.Parallel()
	forEach(t, allTransports, nil, func(b *testBundle) {
		b.publish(update(1, 1))
		resp := b.get(http.MethodHead, subscribe1)
		if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != "text/event-stream; charset=utf-8" {
			b.t.Errorf("%s %v", resp.Status, resp.Header)
		}
	})
}

func TestSubscribe_DropsReaderThatTakesNothing(t *testing.T) {
	t.Parallel()
	forEach(t, allTransports, func(b *testBundle) {
		if b.onSockets {
			b.fanout.WriteTimeout = 4 * time.Second // within which the quick one takes 8 MiB on a busy machine
		}
	}, func(b *testBundle) {
		b.publish(update(1, 1))
		slow, quick := b.subscribe(subscribe1), b.subscribe(subscribe1)
		slow.opening()
		quick.opening()
		large := update(1, 2)
		large.Frame = append([]byte(":"+strings.Repeat("x", 8<<20)+"\n"), large.Frame...) // more than sockets hold
		b.publish(large)
		if got := quick.next(); !strings.HasSuffix(got, frame(1, 2)) {
			b.t.Error("the quick one does not have the update")
		}
		pace := time.NewTicker(b.fanout.WriteTimeout / 10)
		defer pace.Stop()
		for version := int64(3); b.hub.Open() > 1; version++ {
			if version > 30 {
				b.t.Fatal("the slow one is not dropped after more than twice the write timeout")
			}
			b.publish(update(1, version))
			for !strings.Contains(quick.next(), odds.ID(update(1, version))) {
			}
			<-pace.C
		}
		b.publish(update(1, 1000))
		quick.expect(frame(1, 1000))
	})
}

func TestSubscribe_ForgetsClientThatGoes(t *testing.T) {
	t.Parallel()
	forEach(t, allTransports, nil, func(b *testBundle) {
		b.publish(update(1, 1))
		s := b.subscribe(subscribe1)
		s.opening()
		s.Body.Close()
		testenv.Eventually(b.t, "the server notices that the client has gone", 10*time.Second, func() bool { return b.hub.Open() == 0 })
	})
}

func TestSubscribe_DrainEndsStreamsOverWindow(t *testing.T) {
	t.Parallel()
	forEach(t, allTransports, nil, func(b *testBundle) {
		window := 20 * time.Second
		if b.onSockets {
			window = 200 * time.Millisecond
		}
		b.publish(update(1, 1))
		const n = 40
		ended := make(chan time.Duration, n)
		from := time.Now()
		for range n {
			s := b.subscribe(subscribe1)
			s.opening()
			go func() {
				for {
					if block := s.next(); block == "" {
						break
					} else if !strings.HasPrefix(block, "retry: ") && !isHeartbeat(block) {
						b.t.Errorf("while draining: %q", block)
					}
				}
				ended <- time.Since(from)
			}()
		}
		drained := make(chan struct{})
		go func() { b.hub.Drain(context.Background(), window); close(drained) }()
		var early int
		for range n {
			if took := <-ended; took < window/2 {
				early++
			} else if !b.onSockets && took > window {
				b.t.Errorf("one ended after %v", took)
			}
		}
		<-drained
		if !b.onSockets && (early < n/8 || early > n*7/8) {
			b.t.Errorf("%d of %d ended in the first half", early, n)
		}
		b.refused(http.MethodGet, subscribe1, http.StatusServiceUnavailable, "DRAINING")
	})
}
