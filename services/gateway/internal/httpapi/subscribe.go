package httpapi

import (
	"encoding/json"
	"net/http"
	"net/url"

	"github.com/rafflecast/rafflecast/services/gateway/internal/fanout"
	"github.com/rafflecast/rafflecast/services/gateway/internal/odds"
	"github.com/rafflecast/rafflecast/services/gateway/internal/respond"
	"github.com/rafflecast/rafflecast/services/gateway/internal/sse"
)

// Query parameters of the streams.
var (
	subscribeParams        = params{"lastEventId": repeated}
	subscribeSeveralParams = params{"id": repeated, "lastEventId": repeated}
)

// subscribe streams a raffle's odds as Server-Sent Events.
func (a *API) subscribe(w http.ResponseWriter, r *http.Request) error {
	query, err := subscribeParams.read(r)
	if err != nil {
		return err
	}
	id, err := raffleID(r.PathValue("id"))
	if err != nil {
		return err
	}
	return a.stream(w, r, query, []int64{id})
}

// subscribeSeveral streams the odds of several raffles on one connection.
func (a *API) subscribeSeveral(w http.ResponseWriter, r *http.Request) error {
	query, err := subscribeSeveralParams.read(r)
	if err != nil {
		return err
	}
	ids, err := raffleIDs(query, a.cfg.MaxRaffles)
	if err != nil {
		return err
	}
	return a.stream(w, r, query, ids)
}

// stream answers with the updates of raffles.
func (a *API) stream(w http.ResponseWriter, r *http.Request, query url.Values, ids []int64) error {
	if err := a.allKnown(ids); err != nil {
		return err
	}
	seen := lastSeen(r, query, ids)
	if a.nothingToCome(ids, seen) {
		w.WriteHeader(http.StatusNoContent) // tells an EventSource to stop
		return nil
	}
	header := w.Header()
	header.Set("Content-Type", sse.ContentType)
	header.Set("Cache-Control", "no-cache, no-transform")
	header.Set("X-Accel-Buffering", "no") // nginx holds nothing back
	if r.Method == http.MethodHead {
		return nil
	}
	client := a.clientOf(r)
	if err := a.admission.admit(client); err != nil {
		return err
	}
	sub := a.open(r, ids, seen)
	sub.Done = a.doneFunc(client)
	if !a.hub.Serve(w, r, sub) {
		a.admission.release(client)
		return respond.Errorf(respond.Draining, "instance is draining; retry")
	}
	return nil
}

func (a *API) doneFunc(c client) func(fanout.Reason) {
	return func(fanout.Reason) { a.admission.release(c) }
}

func (a *API) allKnown(ids []int64) error {
	for _, id := range ids {
		if _, err := a.known(id); err != nil {
			return err
		}
	}
	return nil
}

// nothingToCome tells whether the client has the last odds of all raffles.
func (a *API) nothingToCome(ids, seen []int64) bool {
	for i, id := range ids {
		if u := a.feed.Newest(id); !u.Final || seen[i] < u.Version {
			return false
		}
	}
	return true
}

// maxOpening bounds what a client may be sent of what it has missed, in bytes; it
// is held in memory until it is sent.
const maxOpening = 64 << 10

// open returns what a connection begins with: when to come back, and of each
// raffle the newest odds, or what the client has missed. A client that has the
// newest of all gets a heartbeat, since proxies give up on a stream where
// nothing comes.
func (a *API) open(r *http.Request, ids, seen []int64) fanout.Subscription {
	b := sse.AppendRetry(make([]byte, 0, 1024), a.retry())
	before := len(b)
	watches := make([]fanout.Watch, len(ids))
	for i, id := range ids {
		updates, complete := a.missed(r, id, seen[i])
		switch {
		case !complete:
			b = appendReset(b, id, "the updates since your last event are gone")
		case len(b) > maxOpening && len(updates) > 1:
			b = appendReset(b, id, "there were too many updates since your last events")
			updates = updates[len(updates)-1:]
		}
		watches[i] = fanout.Watch{RaffleID: id, Seen: seen[i]}
		for _, u := range updates {
			b = append(b, u.Frame...)
			watches[i].Seen, watches[i].Final = u.Version, u.Final
		}
		if newest := a.feed.Newest(id); newest.Final && watches[i].Seen >= newest.Version {
			watches[i].Final = true
		}
	}
	if len(b) == before {
		b = fanout.Heartbeat(b)
	}
	return fanout.Subscription{Watches: watches, Opening: b}
}

// missed returns what is newer than what the client has seen.
func (a *API) missed(r *http.Request, id, seen int64) (updates []*odds.Update, complete bool) {
	if seen == 0 {
		return []*odds.Update{a.feed.Newest(id)}, true
	}
	updates, complete = a.feed.Since(id, seen)
	if !complete {
		a.feed.Recall(r.Context(), id)
		updates, complete = a.feed.Since(id, seen)
	}
	return updates, complete
}

func appendReset(b []byte, raffleID int64, reason string) []byte {
	data, _ := json.Marshal(map[string]any{"id": raffleID, "reason": reason})
	return sse.AppendEvent(b, "", "reset", data)
}
