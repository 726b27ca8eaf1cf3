package httpapi

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

const several = "/api/v1/raffles/subscribe?id=1&id=2"

func TestSubscribeSeveral_StreamsAllRaffles(t *testing.T) {
	t.Parallel()
	forEach(t, allTransports, nil, func(b *testBundle) {
		b.publish(update(1, 5))
		b.publish(update(2, 7))
		b.publish(update(3, 1))
		s := b.subscribe(several + "&id=1")
		if got := s.opening(); got != frame(1, 5) {
			b.t.Errorf("got %q", got)
		}
		s.expect(frame(2, 7))
		b.publish(update(3, 2))
		b.publish(update(2, 8))
		s.expect(frame(2, 8))
		b.publish(update(1, 6))
		s.expect(frame(1, 6))
	})
}

func TestSubscribeSeveral_EndsWhenAllAreFinal(t *testing.T) {
	t.Parallel()
	forEach(t, allTransports, nil, func(b *testBundle) {
		b.publish(update(1, 5))
		b.publish(update(2, 7))
		s := b.subscribe(several)
		s.opening()
		s.expect(frame(2, 7))
		b.publish(finalUpdate(2, 8))
		s.expect(finalFrame(2, 8))
		b.publish(finalUpdate(1, 6))
		s.expect(finalFrame(1, 6), "id: 1:6,2:8\n\n", "")

		// An EventSource comes back with the last id, and 204 tells it to stop.
		if status, _ := b.body(http.MethodGet, several, "Last-Event-ID", "1:6,2:8"); status != http.StatusNoContent {
			b.t.Errorf("with the last id: %d", status)
		}
		if status, _ := b.body(http.MethodGet, several+"&lastEventId=1:6&lastEventId=2:8"); status != http.StatusNoContent {
			b.t.Errorf("with the ids in the query: %d", status)
		}
		// A client that has missed some gets the rest, and the end.
		back := b.subscribe(several, "Last-Event-ID", "2:8")
		if got := back.opening(); got != finalFrame(1, 6) {
			b.t.Errorf("got %q", got)
		}
		back.expect("id: 1:6,2:8\n\n", "")
	})
}

func TestSubscribeSeveral_ResumesEachRaffle(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		query, header string
		want          []string
	}{
		"one, by the header": {"", "1:18", []string{frame(1, 19), frame(1, 20), frame(2, 20)}},
		"both, by the query": {"&lastEventId=1:19&lastEventId=2:19", "", []string{frame(1, 20), frame(2, 20)}},
		"both, by an id of both": {
			"&lastEventId=1:1", "1:20,2:3",
			[]string{
				"event: reset\ndata: {\"id\":2,\"reason\":\"the updates since your last event are gone\"}\n\n",
				frame(2, 20),
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			forEach(t, allTransports, nil, func(b *testBundle) {
				for v := range int64(20) {
					b.feed.put(update(1, v+1))
					b.feed.put(update(2, v+1))
				}
				s := b.subscribe(several+c.query, "Last-Event-ID", c.header)
				if got := s.opening(); got != c.want[0] {
					b.t.Errorf("got %q, want %q", got, c.want[0])
				}
				s.expect(c.want[1:]...)
			})
		})
	}
}

func TestSubscribeSeveral_ResetsLargeBacklog(t *testing.T) {
	t.Parallel()
	forEach(t, allTransports, nil, func(b *testBundle) {
		for id := int64(1); id <= 2; id++ {
			for v := range int64(4) {
				u := update(id, v+1)
				u.Frame = append([]byte(":"+strings.Repeat("x", maxBacklog/5)+"\n"), u.Frame...)
				b.feed.put(u)
			}
		}
		s := b.subscribe(several + "&lastEventId=1:1&lastEventId=2:1")
		var got []string
		for range 5 {
			block := s.next()
			got = append(got, block[strings.LastIndex(strings.TrimSuffix(block, "\n\n"), "\n")+1:])
		}
		if len(got) != 5 || !strings.Contains(got[0], "too many updates") || !strings.Contains(got[0], `"id":2`) ||
			got[3]+got[4] != dataLine(1, 4)+dataLine(2, 4) {
			b.t.Errorf("got %q", got)
		}
	})
}

func TestSubscribeSeveral_RefusesBadIDs(t *testing.T) {
	t.Parallel()
	forEach(t, allTransports, nil, func(b *testBundle) {
		var many strings.Builder
		for id := range int64(101) {
			b.publish(update(id+1, 1))
			fmt.Fprintf(&many, "&id=%d", id+1)
		}
		const path = "/api/v1/raffles/subscribe"
		for query, c := range map[string]struct {
			status          int
			reason, message string
		}{
			"":                  {400, "INVALID", "at least once"},
			"?id=":              {400, "INVALID", "id:"},
			"?id=1&id=x":        {400, "INVALID", "x"},
			"?id=1&id=%zz":      {400, "INVALID", "query"},
			"?id=1&ids=2":       {400, "INVALID", "ids"},
			"?id=1&id=200":      {404, "RAFFLE_NOT_FOUND", "raffle 200"},
			"?" + many.String(): {400, "INVALID", "at most 100 times"},
		} {
			got := b.refused(http.MethodGet, path+query, c.status, c.reason)
			if !strings.Contains(got.message, c.message) {
				b.t.Errorf("%.30s: %s", query, got.message)
			}
		}
		s := b.subscribe(path + "?" + strings.TrimSuffix(many.String(), "&id=101")) // 100
		s.opening()
		b.publish(update(100, 2))
		for s.next() != frame(100, 2) {
		}
	})
}

// dataLine returns the last line of an update's event.
func dataLine(raffleID, version int64) string {
	return fmt.Sprintf("data: %s\n\n", update(raffleID, version).JSON)
}
