package api

import (
	"cmp"
	"encoding/json"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/rafflecast/rafflecast/services/gateway/internal/odds"
	"github.com/rafflecast/rafflecast/services/gateway/internal/sse"
)

// subscribe streams a raffle's odds as Server-Sent Events.
func (a *API) subscribe(w http.ResponseWriter, r *http.Request) {
	newest, refused := a.known(r)
	if refused != nil {
		refused.write(w)
		return
	}
	seen := lastSeen(r, newest.RaffleID)
	if newest.Final && seen >= newest.Version {
		w.WriteHeader(http.StatusNoContent) // tells an EventSource to stop
		return
	}
	header := w.Header()
	header.Set("Content-Type", sse.ContentType)
	header.Set("Cache-Control", "no-cache, no-transform")
	header.Set("X-Accel-Buffering", "no") // nginx holds nothing back
	if r.Method == http.MethodHead {
		return
	}
	leave, done, open := a.streams.enter()
	if !open {
		unavailable("this instance is stopping: come back, and another will answer").write(w)
		return
	}
	defer done()
	s := &stream{
		api:   a,
		w:     http.NewResponseController(w),
		out:   w,
		id:    newest.RaffleID,
		seen:  seen,
		leave: leave,
	}
	s.run(r)
}

// lastSeen returns the version of the raffle that the client has, 0 where it has
// none: what it sends is a hint, and anything odd in it means "none".
func lastSeen(r *http.Request, raffleID int64) int64 {
	id, version, ok := odds.ParseID(cmp.Or(r.Header.Get("Last-Event-ID"), r.URL.Query().Get("lastEventId")))
	if !ok || id != raffleID {
		return 0
	}
	return version
}

// stream is one connection that watches a raffle.
type stream struct {
	api   *API
	w     *http.ResponseController
	out   http.ResponseWriter
	id    int64
	seen  int64 // version that the client has
	final bool  // the last event has been sent
	leave <-chan struct{}
}

// run streams until the raffle ends, the connection's life does, the client
// goes, or the service does.
func (s *stream) run(r *http.Request) {
	sub := s.api.hub.Subscribe(s.id)
	defer sub.Close()
	if s.send(s.first()) != nil {
		return
	}
	cfg := s.api.cfg
	lifetime := time.NewTimer(jitter(cfg.Lifetime))
	defer lifetime.Stop()
	silence := time.NewTimer(jitter(cfg.Heartbeat))
	defer silence.Stop()
	for !s.final {
		var frames []byte
		select {
		case <-sub.C:
			frames = s.newer(nil, sub.Take())
		case <-silence.C:
			frames = heartbeat(nil)
		case <-lifetime.C:
			return
		case <-s.leave:
			return
		case <-r.Context().Done():
			return
		}
		if s.send(frames) != nil {
			return
		}
		silence.Reset(jitter(cfg.Heartbeat))
	}
}

// first returns what a connection begins with: when to come back, and the
// newest odds, or what the client has missed. A client that has the newest gets
// a heartbeat, since proxies give up on a stream where nothing comes.
func (s *stream) first() []byte {
	cfg := s.api.cfg
	b := sse.AppendRetry(nil, cfg.RetryMin+rand.N(cfg.RetryMax-cfg.RetryMin+1))
	updates, complete := s.api.feed.Since(s.id, s.seen)
	if !complete && s.seen > 0 {
		b = appendReset(b, s.id, "the updates since your last event are gone")
	}
	before := len(b)
	if b = s.newer(b, updates); len(b) == before {
		b = heartbeat(b)
	}
	return b
}

// newer appends the updates that the client has not seen.
func (s *stream) newer(b []byte, updates []*odds.Update) []byte {
	for _, u := range updates {
		if u.Version > s.seen {
			s.seen, s.final = u.Version, u.Final
			b = append(b, u.Frame...)
		}
	}
	return b
}

// send writes to the client, and gives up on one that takes nothing.
func (s *stream) send(frames []byte) error {
	if len(frames) == 0 {
		return nil
	}
	if err := s.w.SetWriteDeadline(time.Now().Add(s.api.cfg.WriteTimeout)); err != nil {
		return err
	}
	if _, err := s.out.Write(frames); err != nil {
		return err
	}
	return s.w.Flush()
}

func heartbeat(b []byte) []byte {
	data, _ := json.Marshal(map[string]string{"at": time.Now().UTC().Format(odds.TimeFormat)})
	return sse.AppendEvent(b, "", "heartbeat", data)
}

func appendReset(b []byte, raffleID int64, reason string) []byte {
	data, _ := json.Marshal(map[string]any{"id": raffleID, "reason": reason})
	return sse.AppendEvent(b, "", "reset", data)
}

// jitter returns d, give or take 20 %, so that what began together does not
// happen together.
func jitter(d time.Duration) time.Duration {
	return time.Duration(float64(d) * (0.8 + 0.4*rand.Float64()))
}
