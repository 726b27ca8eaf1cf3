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
		if got := s.opening(); got != withIDs(update(1, 5), "1:e:5") {
			b.t.Errorf("got %q", got)
		}
		s.expect(withIDs(update(2, 7), "1:e:5,2:e:7"))
		b.publish(update(3, 2))
		b.publish(update(2, 8))
		s.expect(withIDs(update(2, 8), "1:e:5,2:e:8"))
		b.publish(update(1, 6))
		s.expect(withIDs(update(1, 6), "1:e:6,2:e:8"))
	})
}

func TestSubscribeSeveral_EndsWhenAllAreFinal(t *testing.T) {
	t.Parallel()
	forEach(t, allTransports, nil, func(b *testBundle) {
		b.publish(update(1, 5))
		b.publish(update(2, 7))
		s := b.subscribe(several)
		s.opening()
		s.expect(withIDs(update(2, 7), "1:e:5,2:e:7"))
		b.publish(finalUpdate(2, 8))
		s.expect(withIDs(finalUpdate(2, 8), "1:e:5,2:e:8"))
		b.publish(finalUpdate(1, 6))
		s.expect(withIDs(finalUpdate(1, 6), "1:e:6,2:e:8"), "")

		// An EventSource comes back with the last id, and 204 tells it to stop.
		if status, _ := b.body(http.MethodGet, several, "Last-Event-ID", "1:e:6,2:e:8"); status != http.StatusNoContent {
			b.t.Errorf("with the last id: %d", status)
		}
		if status, _ := b.body(http.MethodGet, several+"&lastEventId=1:e:6&lastEventId=2:e:8"); status != http.StatusNoContent {
			b.t.Errorf("with the ids in the query: %d", status)
		}
		// A client that has missed some gets the rest, and the end.
		back := b.subscribe(several, "Last-Event-ID", "2:e:8")
		if got := back.opening(); got != resetEvent(1, "your last event id does not name this raffle") {
			b.t.Errorf("got %q", got)
		}
		back.expect(withIDs(finalUpdate(1, 6), "1:e:6,2:e:8"), "")
	})
}

func TestSubscribeSeveral_ResumesEachRaffle(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		query, header string
		want          []string
	}{
		"one, by the header": {"", "1:e:18", []string{
			withIDs(update(1, 19), "1:e:19"), withIDs(update(1, 20), "1:e:20"),
			resetEvent(2, "your last event id does not name this raffle"), withIDs(update(2, 20), "1:e:20,2:e:20"),
		}},
		"both, by the query": {"&lastEventId=1:e:19&lastEventId=2:e:19", "", []string{
			withIDs(update(1, 20), "1:e:20,2:e:19"), withIDs(update(2, 20), "1:e:20,2:e:20"),
		}},
		"both, by an id of both": {
			"&lastEventId=1:e:1", "1:e:20,2:e:3",
			[]string{
				resetEvent(2, "the updates since your last event are gone"), withIDs(update(2, 20), "1:e:20,2:e:20"),
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
				long := ":" + strings.Repeat("x", maxBacklog/5) + "\n"
				u.Frame, u.Body = append([]byte(long), u.Frame...), append([]byte(long), u.Body...)
				b.feed.put(u)
			}
		}
		s := b.subscribe(several + "&lastEventId=1:e:1&lastEventId=2:e:1")
		var got []string
		for range 5 {
			block := s.next()
			got = append(got, block[strings.LastIndex(strings.TrimSuffix(block, "\n\n"), "\n")+1:])
		}
		if len(got) != 5 || !strings.Contains(got[3], "too many updates") || !strings.Contains(got[3], `"id":2`) ||
			got[2]+got[4] != dataLine(1, 4)+dataLine(2, 4) {
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
		for !strings.HasSuffix(s.next(), "\n"+string(update(100, 2).Body)) {
		}
	})
}

func resetEvent(raffleID int64, reason string) string {
	return fmt.Sprintf("event: reset\ndata: {\"id\":%d,\"reason\":%q}\n\n", raffleID, reason)
}

// B11: after a cut, a client must get what it has missed of each raffle, and nothing
// twice.
func TestSubscribeSeveral_CutAnywhere(t *testing.T) {
	t.Parallel()
	forEach(t, allTransports, nil, func(b *testBundle) {
		b.publish(update(1, 60))
		b.publish(update(2, 1))
		s := b.subscribe(several)
		s.opening()
		id, _, _ := strings.Cut(strings.TrimPrefix(s.next(), "id: "), "\n")
		s.Body.Close()
		for v := int64(61); v <= 63; v++ {
			b.feed.put(update(1, v))
		}
		back := b.subscribe(several, "Last-Event-ID", id)
		if got := back.opening(); got != withIDs(update(1, 61), "1:e:61,2:e:1") {
			b.t.Errorf("got %q", got)
		}
		back.expect(withIDs(update(1, 62), "1:e:62,2:e:1"), withIDs(update(1, 63), "1:e:63,2:e:1"))
		again := b.subscribe(several, "Last-Event-ID", "1:e:63,2:e:1")
		if got := again.opening(); !isHeartbeat(got) {
			b.t.Errorf("nothing was missed, got %q", got)
		}
	})
}

// dataLine returns the last line of an update's event.
func dataLine(raffleID, version int64) string {
	return fmt.Sprintf("data: %s\n\n", update(raffleID, version).JSON)
}
