package httpapi

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

const several = "/api/v1/raffles/subscribe?id=1&id=2"

func frame(raffleID, version int64, final ...bool) string {
	return string(update(raffleID, version, final...).Frame)
}

func TestSeveralRafflesOnOneConnection(t *testing.T) {
	t.Parallel()
	each(t, nil, func(w *world) {
		w.publish(update(1, 5))
		w.publish(update(2, 7))
		w.publish(update(3, 1))
		s := w.subscribe(several + "&id=1")
		if got := s.opening(); got != frame(1, 5) {
			t.Errorf("got %q", got)
		}
		s.expect(frame(2, 7))
		w.publish(update(3, 2))
		w.publish(update(2, 8))
		s.expect(frame(2, 8))
		w.publish(update(1, 6))
		s.expect(frame(1, 6))
	})
}

func TestSeveralEndWhenAllAreFinal(t *testing.T) {
	t.Parallel()
	each(t, nil, func(w *world) {
		w.publish(update(1, 5))
		w.publish(update(2, 7))
		s := w.subscribe(several)
		s.opening()
		s.expect(frame(2, 7))
		w.publish(update(2, 8, true))
		s.expect(frame(2, 8, true))
		w.publish(update(1, 6, true))
		s.expect(frame(1, 6, true), "id: 1:6,2:8\n\n", "")

		// An EventSource returns with the id that came last, and is told to stop.
		if status, _ := w.body(http.MethodGet, several, "Last-Event-ID", "1:6,2:8"); status != http.StatusNoContent {
			t.Errorf("with the last id: %d", status)
		}
		if status, _ := w.body(http.MethodGet, several+"&lastEventId=1:6&lastEventId=2:8"); status != http.StatusNoContent {
			t.Errorf("with the ids in the query: %d", status)
		}
		// One that has not got so far gets the rest, and then stops as well.
		back := w.subscribe(several, "Last-Event-ID", "2:8")
		if got := back.opening(); got != frame(1, 6, true) {
			t.Errorf("got %q", got)
		}
		back.expect("id: 1:6,2:8\n\n", "")
	})
}

func TestSeveralResume(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		query, header string
		want          []string
	}{
		"one, by the header": {"", "1:18", []string{frame(1, 19), frame(1, 20), frame(2, 20)}},
		"both, by the query": {"&lastEventId=1:19&lastEventId=2:19", "", []string{frame(1, 20), frame(2, 20)}},
		"both, by a farewell": {
			"&lastEventId=1:1", "1:20,2:3",
			[]string{"event: reset\ndata: {\"id\":2,\"reason\":\"the updates since your last event are gone\"}\n\n", frame(2, 20)},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			each(t, nil, func(w *world) {
				for v := range int64(20) {
					w.feed.put(update(1, v+1))
					w.feed.put(update(2, v+1))
				}
				s := w.subscribe(several+c.query, "Last-Event-ID", c.header)
				if got := s.opening(); got != c.want[0] {
					t.Errorf("got %q, want %q", got, c.want[0])
				}
				s.expect(c.want[1:]...)
			})
		})
	}
}

func TestALargeBacklogIsReset(t *testing.T) {
	t.Parallel()
	each(t, nil, func(w *world) {
		for id := int64(1); id <= 2; id++ {
			for v := range int64(4) {
				u := update(id, v+1)
				u.Frame = append([]byte(":"+strings.Repeat("x", maxOpening/2)+"\n"), u.Frame...)
				w.feed.put(u)
			}
		}
		s := w.subscribe(several + "&lastEventId=1:1&lastEventId=2:1")
		var got []string
		for range 5 {
			block := s.next()
			got = append(got, block[strings.LastIndex(strings.TrimSuffix(block, "\n\n"), "\n")+1:])
		}
		if len(got) != 5 || !strings.Contains(got[3], "too many updates") {
			t.Errorf("got %q", got)
		}
	})
}

func TestSeveralAreRefused(t *testing.T) {
	t.Parallel()
	each(t, nil, func(w *world) {
		var many strings.Builder
		for id := range int64(101) {
			w.publish(update(id+1, 1))
			fmt.Fprintf(&many, "&id=%d", id+1)
		}
		const path = "/api/v1/raffles/subscribe"
		for query, c := range map[string]struct {
			status        int
			code, message string
		}{
			"":                  {400, "INVALID_ARGUMENT", "at least once"},
			"?id=":              {400, "INVALID_ARGUMENT", "id:"},
			"?id=1&id=x":        {400, "INVALID_ARGUMENT", "x"},
			"?id=1&id=%zz":      {400, "INVALID_ARGUMENT", "query"},
			"?id=1&id=200":      {404, "NOT_FOUND", "raffle 200"},
			"?" + many.String(): {400, "INVALID_ARGUMENT", "at most 100 times"},
		} {
			resp := refused(w, path+query, c.status, c.code)
			_, body := w.body(http.MethodGet, path+query)
			if resp.Body.Close(); !strings.Contains(body, c.message) {
				t.Errorf("%.30s: %s", query, body)
			}
		}
		s := w.subscribe(path + "?" + strings.TrimSuffix(many.String(), "&id=101")) // 100
		s.opening()
		w.publish(update(100, 2))
		for s.next() != frame(100, 2) {
		}
	})
}
