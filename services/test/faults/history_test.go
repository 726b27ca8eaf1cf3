package faults

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rafflecast/rafflecast/services/test/testenv"
)

const update = "raffle-winning-probability"

func event(id int64, epoch string, version int64) []byte {
	return fmt.Appendf(nil, `{"id":%d,"epoch":%q,"version":%d,"entries":%d}`, id, epoch, version, version)
}

func TestHistory_JudgesUpdates(t *testing.T) {
	t.Parallel()
	type seen struct {
		event string
		data  []byte
	}
	for name, test := range map[string]struct {
		events             []seen
		regressed, doubled bool // the last event
	}{
		"newer ones": {[]seen{{update, event(1, "a", 1)}, {update, event(1, "a", 3)}}, false, false},
		"a lower version": {
			[]seen{{update, event(1, "a", 3)}, {update, event(1, "a", 2)}}, true, false,
		},
		"the same version": {
			[]seen{{update, event(1, "a", 3)}, {update, event(1, "a", 3)}}, false, true,
		},
		"the same version after a reset": {
			[]seen{{update, event(1, "a", 3)}, {"reset", event(1, "a", 3)}, {update, event(1, "a", 3)}}, false, false,
		},
		"after a reset of all": {
			[]seen{{update, event(1, "a", 3)}, {"reset", []byte("{}")}, {update, event(1, "a", 3)}}, false, false,
		},
		"after a reset of another": {
			[]seen{{update, event(1, "a", 3)}, {"reset", event(2, "a", 3)}, {update, event(1, "a", 3)}}, false, true,
		},
		"twice after a reset": {
			[]seen{{update, event(1, "a", 3)}, {"reset", []byte("{}")}, {update, event(1, "a", 3)}, {update, event(1, "a", 3)}}, false, true,
		},
		"a lower version after a reset": {
			[]seen{{update, event(1, "a", 3)}, {"reset", []byte("{}")}, {update, event(1, "a", 2)}}, true, false,
		},
		"a lower version of another life": {
			[]seen{{update, event(1, "a", 3)}, {update, event(1, "b", 1)}}, false, false,
		},
		"another raffle": {
			[]seen{{update, event(1, "a", 3)}, {update, event(2, "a", 3)}}, false, false,
		},
		"a heartbeat": {
			[]seen{{update, event(1, "a", 3)}, {"heartbeat", event(1, "a", 3)}}, false, false,
		},
	} {
		h := newHistory()
		var last verdict
		for _, e := range test.events {
			_, last, _ = h.take([]int64{1, 2}, e.event, e.data)
		}
		if (last.regressed != "") != test.regressed || (last.doubled != "") != test.doubled {
			t.Errorf("%s: %+v", name, last)
		}
	}
}

func TestHistory_LacksWhatTheDatabaseHolds(t *testing.T) {
	t.Parallel()
	h := newHistory()
	h.take([]int64{1}, update, event(1, "a", 3))
	same := map[int64]odds{1: {ID: 1, Epoch: "a", Version: 3, Entries: 3}}
	if lacks := h.lacks([]int64{1}, same); lacks != "" {
		t.Error(lacks)
	}
	for _, want := range []odds{
		{ID: 1, Epoch: "a", Version: 4, Entries: 3},
		{ID: 1, Epoch: "b", Version: 3, Entries: 3},
		{ID: 1, Epoch: "a", Version: 3, Entries: 4},
		{ID: 1, Epoch: "a", Version: 3, Entries: 3, State: "CLOSED"},
	} {
		if h.lacks([]int64{1}, map[int64]odds{1: want}) == "" {
			t.Errorf("%v is not missed", want)
		}
	}
	if h.lacks([]int64{1, 2}, map[int64]odds{1: same[1], 2: {ID: 2}}) == "" {
		t.Error("raffle 2 was never shown, and is not missed")
	}
	if behind := h.behind([]int64{1}, map[int64]odds{1: {Epoch: "a", Version: 2}}); behind != "" {
		t.Error(behind)
	}
	for _, want := range []odds{{Epoch: "a", Version: 4}, {Epoch: "b", Version: 1}} {
		if h.behind([]int64{1}, map[int64]odds{1: want}) == "" {
			t.Errorf("it is not behind %v", want)
		}
	}
}

func TestContents_AreTheSameForEverybody(t *testing.T) {
	t.Parallel()
	c := newContents()
	first := odds{ID: 1, Epoch: "a", Version: 3, Entries: 3}
	for _, o := range []odds{first, first, {ID: 1, Epoch: "b", Version: 3, Entries: 4}, {ID: 2, Epoch: "a", Version: 3, Entries: 4}, {ID: 1, Epoch: "a", Version: 4, Entries: 4}} {
		if text := c.take(o); text != "" {
			t.Error(text)
		}
	}
	if c.take(odds{ID: 1, Epoch: "a", Version: 3, Entries: 4}) == "" {
		t.Error("version 3 was shown with 3 and with 4 entries, which is not found")
	}
}

// server is a gateway whose connections are scripted.
type server struct {
	*httptest.Server

	mu      sync.Mutex
	lastIDs []string // of each connection
	scripts []string // of each connection, or "404"; those after the last one get none and stay open
}

func serve(t *testing.T, scripts ...string) *server {
	t.Helper()
	s := &server{scripts: scripts}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		n := len(s.lastIDs)
		s.lastIDs = append(s.lastIDs, r.Header.Get("Last-Event-ID"))
		s.mu.Unlock()
		if n < len(s.scripts) && s.scripts[n] == "404" {
			http.NotFound(w, r)
			return
		}
		if n < len(s.scripts) {
			_, _ = fmt.Fprint(w, "retry: 1\n", s.scripts[n])
			return
		}
		w.WriteHeader(http.StatusOK)
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}))
	t.Cleanup(s.Close)
	return s
}

func sse(id int64, version int64) string {
	return fmt.Sprintf("id: %d:a:%d\nevent: %s\ndata: %s\n\n", id, version, update, event(id, "a", version))
}

func TestSubscribers_JudgeWhatTheyAreShown(t *testing.T) {
	t.Parallel()
	gateway := serve(t, sse(1, 1)+sse(1, 2)+sse(1, 2), "404", sse(1, 1)+"event: reset\ndata: {}\n\n")
	w := newSubscribers(2, []string{gateway.URL}, []int64{1, 2, 3})
	w.all = w.all[1:] // which watches raffle 2 only
	w.all[0].ids = []int64{1}
	ctx := t.Context()
	var watching sync.WaitGroup
	watching.Go(func() { w.run(ctx) })
	t.Cleanup(watching.Wait) // the test's context ends before that
	testenv.Eventually(t, "the client connects a fourth time", 10*time.Second, func() bool { return len(w.places()) == 1 && w.places()[w.all[0]] == 4 })
	w.mu.Lock()
	if len(w.doubled) != 1 || len(w.regressed) != 1 || w.events != 4 || w.resets != 1 || len(w.denied) != 1 {
		t.Errorf("doubled %q, regressed %q, %d events, %d resets, denied %q", w.doubled, w.regressed, w.events, w.resets, w.denied)
	}
	w.mu.Unlock()
	gateway.mu.Lock()
	if got := strings.Join(gateway.lastIDs, " "); got != " 1:a:2 1:a:2 1:a:1" {
		t.Errorf("the connections began after %q", got)
	}
	gateway.mu.Unlock()

	final := map[int64]odds{1: {ID: 1, Epoch: "a", Version: 1, Entries: 1}}
	if without := w.without(final, w.places()); len(without) != 0 {
		t.Errorf("without: %q", without)
	}
	if without := w.without(final, place{w.all[0]: 2}); len(without) != 1 || !strings.Contains(without[0], "reconnect") {
		t.Errorf("it had to reconnect: %q", without)
	}
	if without := w.without(map[int64]odds{1: {ID: 1, Epoch: "a", Version: 2, Entries: 2}}, w.places()); len(without) != 1 {
		t.Errorf("it lacks version 2: %q", without)
	}
	if behind := w.behind(map[int64]odds{1: {Epoch: "a", Version: 2}}); len(behind) != 1 {
		t.Errorf("it is behind: %q", behind)
	}
	if behind := w.behind(map[int64]odds{1: {Epoch: "a", Version: 1}}); len(behind) != 0 {
		t.Errorf("it is not behind: %q", behind)
	}
}
