package httpapi

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"sync"

	"github.com/rafflecast/rafflecast/services/gateway/internal/fanout"
	"github.com/rafflecast/rafflecast/services/gateway/internal/odds"
	"github.com/rafflecast/rafflecast/services/gateway/internal/respond"
	"github.com/rafflecast/rafflecast/services/gateway/internal/sse"
	"github.com/rafflecast/rafflecast/services/internal/oddsstream"
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
	if a.hasAll(ids, seen) {
		w.WriteHeader(http.StatusNoContent) // an EventSource stops at that
		return nil
	}
	header := w.Header()
	header.Set("Content-Type", sse.ContentType)
	header.Set("Cache-Control", "no-cache, no-transform")
	header.Set("X-Accel-Buffering", "no") // nginx must not buffer the stream
	if r.Method == http.MethodHead {
		return nil
	}
	client := a.clientOf(r)
	if err := a.admission.admit(client); err != nil {
		return err
	}
	a.backfill(r.Context(), ids, seen)
	stream := a.open(ids, seen)
	stream.Done = func(fanout.Reason) { a.admission.release(client) }
	if !a.hub.Serve(w, r, stream) {
		a.admission.release(client)
		return respond.Errorf(respond.Draining, "instance is draining; retry")
	}
	return nil
}

func (a *API) allKnown(ids []int64) error {
	for _, id := range ids {
		if _, err := a.known(id); err != nil {
			return err
		}
	}
	return nil
}

// hasAll reports whether the client has the final odds of all raffles.
func (a *API) hasAll(ids, seen []int64) bool {
	for i, id := range ids {
		if u := a.cache.Newest(id); !u.Final || seen[i] < u.Version {
			return false
		}
	}
	return true
}

// backfill has the cache filled with what a client has missed, if that can be had.
func (a *API) backfill(ctx context.Context, ids, seen []int64) {
	var backfills sync.WaitGroup
	for i, id := range ids {
		if seen[i] == 0 {
			continue
		}
		if _, complete := a.cache.Since(id, seen[i]); !complete {
			backfills.Go(func() { a.feed.Backfill(ctx, id) })
		}
	}
	backfills.Wait()
}

// maxBacklog bounds what a client may be sent of what it has missed, in bytes. All
// that the stream keeps of one raffle fits.
const maxBacklog = oddsstream.MessagesPerSubject * odds.MaxFrame

// open returns what a connection begins with: when to come back, and of each raffle
// the newest odds, or what the client has missed. A client that has missed nothing
// gets a heartbeat, since proxies give up on a stream on which nothing comes.
func (a *API) open(ids, seen []int64) fanout.Stream {
	stream := fanout.Stream{
		Opening:       sse.AppendRetry(make([]byte, 0, 64), a.retry()),
		Subscriptions: make([]fanout.Subscription, 0, len(ids)),
	}
	room := maxBacklog
	for i, id := range ids {
		updates, reset := a.missed(id, seen[i], room)
		if reset != "" {
			stream.Opening = appendReset(stream.Opening, id, reset)
		}
		if i == 0 {
			stream.Backlog = updates // shared with others
		} else {
			stream.Backlog = append(stream.Backlog, updates...)
		}
		room -= size(updates)
		newest := a.cache.Newest(id)
		hasFinal := newest.Final && seen[i] >= newest.Version
		stream.Subscriptions = append(stream.Subscriptions, fanout.Subscription{RaffleID: id, LastSent: seen[i], Final: hasFinal})
	}
	if len(stream.Backlog) == 0 {
		stream.Opening = fanout.AppendHeartbeat(stream.Opening)
	}
	return stream
}

// missed returns the updates of a raffle that a client has missed, or only the newest:
// if the client has seen none, if the others are gone, or if they do not fit into room.
// Of the latter two, reset is the reason that the client is told.
func (a *API) missed(id, seen int64, room int) (updates []*odds.Update, reset string) {
	if seen == 0 {
		return []*odds.Update{a.cache.Newest(id)}, ""
	}
	updates, complete := a.cache.Since(id, seen)
	switch {
	case !complete:
		return updates, "the updates since your last event are gone"
	case len(updates) > 1 && size(updates) > room:
		return updates[len(updates)-1:], "there were too many updates since your last events"
	}
	return updates, ""
}

// size returns how many bytes updates take on the wire.
func size(updates []*odds.Update) (bytes int) {
	for _, u := range updates {
		bytes += len(u.Frame)
	}
	return bytes
}

func appendReset(b []byte, raffleID int64, reason string) []byte {
	data, _ := json.Marshal(map[string]any{"id": raffleID, "reason": reason})
	return sse.AppendEvent(b, "", "reset", data)
}
