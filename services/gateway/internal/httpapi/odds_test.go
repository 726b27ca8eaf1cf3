package httpapi

import (
	"net/http"
	"testing"
	"time"

	"github.com/rafflecast/rafflecast/services/test/testenv"
)

func TestOdds_AnswersWithAnETag(t *testing.T) {
	t.Parallel()
	forEach(t, allTransports, nil, func(b *testBundle) {
		b.publish(update(1, 7))
		const path = "/api/v1/raffles/1/odds"
		resp := b.get(http.MethodGet, path)
		if got := resp.Header.Get("ETag"); got != `"1:e:7"` {
			b.t.Errorf("ETag: %s", got)
		}
		if got := resp.Header.Get("Cache-Control"); got != "public, max-age=1" {
			b.t.Errorf("Cache-Control: %s", got)
		}
		if status, body := b.body(http.MethodGet, path); status != 200 || body != string(update(1, 7).JSON)+"\n" {
			b.t.Errorf("%d %q", status, body)
		}
		for tag, want := range map[string]int{
			`"1:e:7"`: 304, `W/"1:e:7"`: 304, `"1:e:6", "1:e:7"`: 304, "*": 304, `"1:e:6"`: 200, "1:e:7": 200, `"2:e:7"`: 200,
		} {
			if status, _ := b.body(http.MethodGet, path, "If-None-Match", tag); status != want {
				b.t.Errorf("If-None-Match: %s: %d", tag, status)
			}
		}
	})
}

func TestOdds_WaitsForNewerOnes(t *testing.T) {
	t.Parallel()
	forEach(t, allTransports, nil, func(b *testBundle) {
		b.publish(update(1, 1))
		const path = "/api/v1/raffles/1/odds?wait=60s"
		first := b.get(http.MethodGet, path)
		if first.StatusCode != http.StatusOK || first.Header.Get("Cache-Control") != "no-store" {
			b.t.Errorf("no version known: %s %v", first.Status, first.Header)
		}
		if status, _ := b.body(http.MethodGet, path, "If-None-Match", `"1:e:0"`); status != 200 {
			b.t.Errorf("an old version: %d", status)
		}
		published := make(chan struct{})
		go func() {
			defer close(published)
			if err := testenv.Await("a client waits", 10*time.Second, func() bool { return b.hub.Open() > 0 }); err != nil {
				b.t.Error(err) // the request ends by itself
			}
			b.publish(update(2, 1))
			b.publish(update(1, 2))
		}()
		resp := b.get(http.MethodGet, path, "If-None-Match", `"1:e:1"`)
		if resp.StatusCode != http.StatusOK || resp.Header.Get("ETag") != `"1:e:2"` {
			b.t.Errorf("when they change: %s %v", resp.Status, resp.Header)
		}
		<-published
		testenv.Eventually(b.t, "no long poll is counted", 10*time.Second, func() bool {
			return b.hub.Open() == 0 && b.api.admission.count() == 0
		})
	})
}

func TestOdds_EndTheWaitWithoutAChange(t *testing.T) {
	t.Parallel()
	forEach(t, allTransports, nil, func(b *testBundle) {
		b.publish(update(1, 2))
		from := time.Now()
		status, _ := b.body(http.MethodGet, "/api/v1/raffles/1/odds?wait=1s", "If-None-Match", `"1:e:2"`)
		took := time.Since(from)
		late := !b.onSockets && took > 1200*time.Millisecond
		if status != http.StatusNotModified || took < time.Second || late {
			b.t.Errorf("%d after %v", status, took)
		}
		for _, wait := range []string{"61s", "10ms", "-1s", "25", "x"} {
			b.refused(http.MethodGet, "/api/v1/raffles/1/odds?wait="+wait, 400, "INVALID")
		}
		testenv.Eventually(b.t, "no long poll is counted", 10*time.Second, func() bool {
			return b.hub.Open() == 0 && b.api.admission.count() == 0
		})
	})
}
