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

func TestTheFirstEventComesAtOnce(t *testing.T) {
	t.Parallel()
	each(t, nil, func(w *world) {
		w.publish(update(1, 57))
		s := w.subscribe(subscribe1)
		for name, want := range map[string]string{
			"Content-Type":      "text/event-stream; charset=utf-8",
			"Cache-Control":     "no-cache, no-transform",
			"X-Accel-Buffering": "no",
			"Content-Encoding":  "",
		} {
			if got := s.Header.Get(name); got != want {
				t.Errorf("%s: %q", name, got)
			}
		}
		want := "id: 1:57\nevent: raffle-winning-probability\ndata: {\"id\":1,\"version\":57,\"state\":\"OPEN\"}\n\n"
		if got := s.opening(); got != want {
			t.Errorf("got %q", got)
		}
		w.publish(update(1, 58))
		s.expect(string(update(1, 58).Frame))
	})
}

func TestRetryIsDrawnPerConnection(t *testing.T) {
	t.Parallel()
	each(t, nil, func(w *world) {
		w.publish(update(1, 1))
		seen := make(map[string]bool)
		for range 10 {
			s := w.subscribe(subscribe1)
			first, _, _ := strings.Cut(s.next(), "\n")
			seen[first] = true
			s.Body.Close()
		}
		if len(seen) < 2 {
			t.Errorf("always %v", seen)
		}
	})
}

func TestABurstEndsWithItsNewest(t *testing.T) {
	t.Parallel()
	each(t, nil, func(w *world) {
		w.publish(update(1, 1))
		s := w.subscribe(subscribe1)
		s.opening()
		for v := range int64(100) {
			w.publish(update(1, v+2))
		}
		last := int64(1)
		for last < 101 {
			block := s.next()
			id, _, _ := strings.Cut(strings.TrimPrefix(block, "id: "), "\n")
			_, version, ok := odds.ParseID(id)
			if !ok || version <= last {
				t.Fatalf("after version %d: %q", last, block)
			}
			last = version
		}
	})
}

func TestHeartbeatsBreakTheSilence(t *testing.T) {
	t.Parallel()
	each(t, func(w *world) {
		if w.real {
			w.fanout.Heartbeat = 100 * time.Millisecond
		}
	}, func(w *world) {
		w.publish(update(1, 1))
		s := w.subscribe(subscribe1)
		s.opening()
		for range 5 {
			from := time.Now()
			if block := s.next(); !isHeartbeat(block) {
				t.Errorf("got %q", block)
			}
			if took := time.Since(from); !w.real && (took < w.fanout.Heartbeat*8/10 || took > w.fanout.Heartbeat*12/10) {
				t.Errorf("after %v", took)
			}
		}
	})
}

func TestAConnectionsLifeIsBounded(t *testing.T) {
	t.Parallel()
	each(t, func(w *world) {
		if w.real {
			w.fanout.Lifetime = 300 * time.Millisecond
		}
	}, func(w *world) {
		w.publish(update(1, 1))
		from := time.Now()
		s := w.subscribe(subscribe1)
		for s.next() != "" {
		}
		if took := time.Since(from); took < w.fanout.Lifetime*8/10 || (!w.real && took > w.fanout.Lifetime*12/10) {
			t.Errorf("it lived for %v", took)
		}
		testenv.Eventually(w.t, "the connection is forgotten", 10*time.Second, func() bool { return w.hub.Open() == 0 })
	})
}

func TestTheFinalEventEndsTheStream(t *testing.T) {
	t.Parallel()
	each(t, nil, func(w *world) {
		w.publish(update(1, 1))
		s := w.subscribe(subscribe1)
		s.opening()
		w.publish(update(1, 2, true))
		s.expect(string(update(1, 2, true).Frame), "")

		back := w.subscribe(subscribe1)
		if got := back.opening(); got != string(update(1, 2, true).Frame) {
			t.Errorf("a new client: %q", got)
		}
		back.expect("")
		if status, body := w.body(http.MethodGet, subscribe1, "Last-Event-ID", "1:2"); status != http.StatusNoContent || body != "" {
			t.Errorf("with its id: %d %q", status, body)
		}
		if status, _ := w.body(http.MethodGet, subscribe1+"?lastEventId=1:2"); status != http.StatusNoContent {
			t.Errorf("with its id in the query: %d", status)
		}
	})
}

func TestResume(t *testing.T) {
	t.Parallel()
	frames := func(from, to int64) string {
		var b strings.Builder
		for v := from; v <= to; v++ {
			b.Write(update(1, v).Frame)
		}
		return b.String()
	}
	const reset = "event: reset\ndata: {\"id\":1,\"reason\":\"the updates since your last event are gone\"}\n\n"
	for name, c := range map[string]struct{ path, header, want string }{
		"nothing known":         {subscribe1, "", frames(20, 20)},
		"all at hand":           {subscribe1, "1:18", frames(19, 20)},
		"in the query":          {subscribe1 + "?lastEventId=1:18", "", frames(19, 20)},
		"the header counts":     {subscribe1 + "?lastEventId=1:18", "1:19", frames(20, 20)},
		"recalled":              {subscribe1, "1:14", frames(15, 20)},
		"gone":                  {subscribe1, "1:3", reset + frames(20, 20)},
		"another raffle's":      {subscribe1, "2:18", frames(20, 20)},
		"not an id":             {subscribe1, "x:y:z", frames(20, 20)},
		"not a version":         {subscribe1, "1:-18", frames(20, 20)},
		"has the newest":        {subscribe1, "1:20", ""},
		"another was ahead":     {subscribe1, "1:21", ""},
		"one of several":        {subscribe1, "2:7,1:18", frames(19, 20)},
		"not a number so large": {subscribe1, "1:99999999999999999999", frames(20, 20)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			each(t, nil, func(w *world) {
				for v := range int64(20) {
					w.feed.put(update(1, v+1))
				}
				var pairs []string
				if c.header != "" {
					pairs = []string{"Last-Event-ID", c.header}
				}
				s := w.subscribe(c.path, pairs...)
				got := s.opening()
				for len(got) < len(c.want) {
					got += s.next()
				}
				if got != c.want && (c.want != "" || !isHeartbeat(got)) {
					t.Fatalf("got %q, want %q", got, c.want)
				}
				w.publish(update(1, 20)) // again: nobody gets it twice
				w.publish(update(1, 21))
				w.publish(update(1, 22))
				for {
					block := s.next()
					if block == string(update(1, 22).Frame) {
						return
					}
					if block != string(update(1, 21).Frame) || c.header == "1:21" {
						t.Fatalf("then %q", block)
					}
				}
			})
		})
	}
}

func TestHeadOpensNoStream(t *testing.T) {
	t.Parallel()
	each(t, nil, func(w *world) {
		w.publish(update(1, 1))
		resp := w.get(http.MethodHead, subscribe1)
		if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != "text/event-stream; charset=utf-8" {
			t.Errorf("%s %v", resp.Status, resp.Header)
		}
	})
}

func TestAReaderThatTakesNothingIsDropped(t *testing.T) {
	t.Parallel()
	each(t, func(w *world) {
		if w.real {
			w.fanout.WriteTimeout = 4 * time.Second // within which the quick one takes 8 MiB on a busy machine
		}
	}, func(w *world) {
		w.publish(update(1, 1))
		slow, quick := w.subscribe(subscribe1), w.subscribe(subscribe1)
		slow.opening()
		quick.opening()
		large := update(1, 2)
		large.Frame = append([]byte(":"+strings.Repeat("x", 8<<20)+"\n"), large.Frame...) // more than sockets hold
		w.publish(large)
		if got := quick.next(); !strings.HasSuffix(got, string(update(1, 2).Frame)) {
			t.Error("the quick one does not have the update")
		}
		for version := int64(3); w.hub.Open() > 1; version++ {
			w.publish(update(1, version))
			for !strings.Contains(quick.next(), odds.ID(1, version)) {
			}
			time.Sleep(w.fanout.WriteTimeout / 10) // the test's pace; its end is what is waited for
		}
		w.publish(update(1, 1000))
		quick.expect(string(update(1, 1000).Frame))
	})
}

func TestAClientThatGoesIsForgotten(t *testing.T) {
	t.Parallel()
	each(t, nil, func(w *world) {
		w.publish(update(1, 1))
		s := w.subscribe(subscribe1)
		s.opening()
		s.Body.Close()
		testenv.Eventually(w.t, "the server notices that the client has gone", 10*time.Second, func() bool { return w.hub.Open() == 0 })
	})
}

func TestLeaveEndsStreamsOverTheWindow(t *testing.T) {
	t.Parallel()
	each(t, nil, func(w *world) {
		window := 20 * time.Second
		if w.real {
			window = 200 * time.Millisecond
		}
		w.publish(update(1, 1))
		const n = 40
		ended := make(chan time.Duration, n)
		from := time.Now()
		for range n {
			s := w.subscribe(subscribe1)
			s.opening()
			go func() {
				for {
					if block := s.next(); block == "" {
						break
					} else if !strings.HasPrefix(block, "retry: ") && !isHeartbeat(block) {
						t.Errorf("while leaving: %q", block)
					}
				}
				ended <- time.Since(from)
			}()
		}
		left := make(chan struct{})
		go func() { w.hub.Leave(context.Background(), window); close(left) }()
		var early int
		for range n {
			if took := <-ended; took < window/2 {
				early++
			} else if !w.real && took > window {
				t.Errorf("one ended after %v", took)
			}
		}
		<-left
		if !w.real && (early < n/8 || early > n*7/8) {
			t.Errorf("%d of %d ended in the first half", early, n)
		}
		if status, _ := w.body(http.MethodGet, subscribe1); status != http.StatusServiceUnavailable {
			t.Errorf("a new stream: %d", status)
		}
	})
}
