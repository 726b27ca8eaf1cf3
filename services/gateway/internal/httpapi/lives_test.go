package httpapi

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/rafflecast/rafflecast/services/gateway/internal/course"
	"github.com/rafflecast/rafflecast/services/gateway/internal/respond"

	"github.com/rafflecast/rafflecast/services/gateway/internal/odds"
	"github.com/rafflecast/rafflecast/services/test/testenv"
)

// nextLife returns an update of another raffle with the id.
func nextLife(raffleID, version int64) *odds.Update {
	data := fmt.Appendf(nil, `{"id":%d,"epoch":"f","version":%d,"state":"OPEN"}`, raffleID, version)
	return updateWith("f", raffleID, version, "OPEN", false, data)
}

// removed returns the last update of a raffle that does not exist any more.
func removed(raffleID, version int64) *odds.Update {
	u := updateIn(raffleID, version, "CANCELLED", true)
	u.Removed = true
	return u
}

// B8, A10: a client that is ahead must not be told "Live" over odds that are wrong.
func TestSubscribe_ClientThatStaysAheadIsReset(t *testing.T) {
	t.Parallel()
	forEach(t, allTransports, func(b *testBundle) {
		if b.onSockets {
			b.fanout.Heartbeat = 200 * time.Millisecond
		}
	}, func(b *testBundle) {
		b.publish(update(1, 5))
		b.publish(finalUpdate(2, 3))
		from := time.Now()
		s := b.subscribe(subscribe1, "Last-Event-ID", "1:e:99999999")
		for block := s.opening(); ; block = s.next() {
			if isHeartbeat(block) {
				continue
			}
			if want := resetEvent(1, "your last event is not known here"); block != want {
				b.t.Errorf("got %q, want %q", block, want)
			}
			break
		}
		if took := time.Since(from); took < b.fanout.Heartbeat || !b.onSockets && took > b.fanout.Heartbeat*6/5 {
			b.t.Errorf("after %v", took)
		}
		s.expect(frame(1, 5))

		final := b.subscribe("/api/v1/raffle/2/subscribe", "Last-Event-ID", "2:e:99") // no 204
		for block := final.opening(); isHeartbeat(block); block = final.next() {
		}
		final.expect(finalFrame(2, 3), "")
	})
}

func TestSubscribe_204OnlyForExactFinalVersion(t *testing.T) {
	t.Parallel()
	forEach(t, allTransports, nil, func(b *testBundle) {
		b.publish(finalUpdate(1, 3))
		for id, want := range map[string]int{"1:e:3": 204, "1:e:2": 200, "1:e:4": 200, "1:d:3": 200, "1:3": 200, "": 200} {
			resp := b.get(http.MethodGet, subscribe1, "Last-Event-ID", id)
			if resp.Body.Close(); resp.StatusCode != want {
				b.t.Errorf("%q: %s", id, resp.Status)
			}
		}
	})
}

func TestRemovedRaffle_IsUnknown(t *testing.T) {
	t.Parallel()
	forEach(t, allTransports, nil, func(b *testBundle) {
		b.publish(update(1, 5))
		b.publish(update(2, 5))
		s := b.subscribe(subscribe1)
		s.opening()
		const path = "/api/v1/raffles/1/odds"
		polled := make(chan int, 1)
		go func() {
			resp, err := b.poll(path+"?wait=60s", `"1:e:5"`)
			if err != nil {
				b.t.Error(err)
			}
			polled <- resp
		}()
		testenv.Eventually(b.t, "the long poll waits", 10*time.Second, func() bool { return b.hub.Open() == 2 })
		b.publish(removed(1, 6))
		s.expect(string(removed(1, 6).Frame), "")
		if status := <-polled; status != http.StatusNotFound {
			b.t.Errorf("the long poll: %d", status)
		}
		b.refused(http.MethodGet, path, 404, "RAFFLE_NOT_FOUND")
		b.refused(http.MethodGet, subscribe1, 404, "RAFFLE_NOT_FOUND", "Last-Event-ID", "1:e:6")
		if _, body := b.body(http.MethodGet, "/api/v1/raffles"); body != fmt.Sprintf("{\"raffles\":[%s]}\n", update(2, 5).JSON) &&
			body != fmt.Sprintf("{\"raffles\":[%s],\"nextPageToken\":\"\"}\n", update(2, 5).JSON) {
			b.t.Errorf("list: %s", body)
		}
		b.publish(nextLife(1, 1))
		resp := b.get(http.MethodGet, path, "If-None-Match", `"1:e:1"`)
		if resp.StatusCode != http.StatusOK || resp.Header.Get("ETag") != `"1:f:1"` {
			b.t.Errorf("another raffle with the id: %s %v", resp.Status, resp.Header)
		}
	})
}

// poll sends a request and returns the status of the answer; for other goroutines than
// the test's.
func (b *testBundle) poll(path, etag string) (status int, err error) {
	r, err := http.NewRequestWithContext(b.t.Context(), http.MethodGet, b.base+path, http.NoBody)
	if err != nil {
		return 0, err
	}
	r.Header.Set("If-None-Match", etag)
	resp, err := b.client.Do(r)
	if err != nil {
		return 0, err
	}
	return resp.StatusCode, resp.Body.Close()
}

// F: while a stream is being filled, nobody knows which raffles there are.
func TestUnknownRaffle_WhileStreamIsFilled(t *testing.T) {
	t.Parallel()
	forEach(t, allTransports, nil, func(b *testBundle) {
		b.publish(update(1, 5))
		b.feed.filling = true
		for _, path := range []string{"/api/v1/raffles/7/odds", "/api/v1/raffles/7/subscribe", several + "7"} {
			if got := b.refused(http.MethodGet, path, 503, "NOT_READY"); got.header.Get("Retry-After") == "" {
				b.t.Errorf("%s: no Retry-After", path)
			}
		}
		_, err := b.api.PageSource(new(course.Recorder)).Raffle(pageRequest(b.t, "7"), "7")
		if !respond.Is(err, respond.NotReady) {
			b.t.Errorf("the page: %v", err)
		}
		if status, _ := b.body(http.MethodGet, "/api/v1/raffles/1/odds"); status != 200 {
			b.t.Errorf("a raffle that is known: %d", status)
		}
	})
}
