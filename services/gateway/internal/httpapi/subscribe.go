package httpapi

import (
	"context"
	"net/http"
	"net/url"
	"slices"
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
	newest, err := a.allKnown(r.Context(), ids)
	if err != nil {
		return err
	}
	until, err := a.mayWatch(r, newest...)
	if err != nil {
		return err
	}
	seen := lastSeen(r, query, ids)
	if hasAll(newest, seen) {
		w.WriteHeader(http.StatusNoContent) // an EventSource stops at that
		return nil
	}
	setStreamHeader(w.Header())
	if slices.ContainsFunc(newest, func(u *odds.Update) bool { return u.MembersOnly }) { // no cache may answer others with it
		w.Header().Set("Cache-Control", "private, no-store, no-cache, no-transform")
	}
	if r.Method == http.MethodHead {
		return nil
	}
	client := a.clientOf(r)
	if err := a.admission.admit(client); err != nil {
		return err
	}
	a.backfill(r.Context(), ids, seen)
	stream := a.open(newest, seen)
	stream.EndsBy = until
	stream.Done = func(fanout.Reason) { a.admission.release(client) }
	if !a.hub.Serve(w, r, stream) {
		a.admission.release(client)
		return respond.Errorf(respond.Draining, "instance is draining; retry")
	}
	return nil
}

func setStreamHeader(header http.Header) {
	header.Set("Content-Type", sse.ContentType)
	header.Set("Cache-Control", "no-cache, no-transform")
	header.Set("X-Accel-Buffering", "no") // nginx must not buffer the stream
}

// allKnown returns the newest odds of all raffles, or the error of the first that is not
// known.
func (a *API) allKnown(ctx context.Context, ids []int64) ([]*odds.Update, error) {
	newest := make([]*odds.Update, len(ids))
	for i, id := range ids {
		var err error
		if newest[i], err = a.known(ctx, id); err != nil {
			return nil, err
		}
	}
	return newest, nil
}

// hasAll reports whether the client has the final odds of all raffles.
func hasAll(newest []*odds.Update, seen []odds.Seen) bool {
	for i, u := range newest {
		if !u.Final || seen[i] != (odds.Seen{Epoch: u.Epoch, Version: u.Version}) {
			return false
		}
	}
	return true
}

// backfill has the cache filled with what a client has missed, if that can be had.
func (a *API) backfill(ctx context.Context, ids []int64, seen []odds.Seen) {
	var backfills sync.WaitGroup
	for i, id := range ids {
		if a.lacks(id, seen[i]) {
			backfills.Go(func() { a.feed.Backfill(ctx, id) })
		}
	}
	backfills.Wait()
}

// lacks reports whether the cache does not have what a client has missed of a raffle.
func (a *API) lacks(id int64, seen odds.Seen) bool {
	if seen.Version == 0 {
		return false
	}
	if u := a.cache.Newest(id); u == nil || u.Epoch != seen.Epoch {
		return false
	}
	_, complete := a.cache.Since(id, seen)
	return !complete
}

// maxBacklog bounds what a client may be sent of what it has missed, in bytes. All
// that the stream keeps of one raffle fits, unless its events are unusually long.
const maxBacklog = oddsstream.MessagesPerSubject * (2 << 10)

// open returns what a connection begins with: when to come back, and of each raffle
// the newest odds, or what the client has missed. A client that has missed nothing
// gets a heartbeat, since proxies give up on a stream on which nothing comes. newest
// are the newest odds of the raffles, or have just been so.
//
// However many raffles there are, the memory of a connection that waits for its client
// is small: updates are shared, and the fan-out encodes resets when it sends them.
func (a *API) open(newest []*odds.Update, seen []odds.Seen) fanout.Stream {
	stream := fanout.Stream{
		Opening:       sse.AppendRetry(make([]byte, 0, 64), a.retry()),
		Subscriptions: make([]fanout.Subscription, 0, len(newest)),
	}
	room, isQuiet := maxBacklog, true
	for i, u := range newest {
		sub, updates := a.resume(u, seen[i], room)
		if sub.Reset == 0 && sub.LastSent == 0 && namesAny(seen) {
			sub.Reset, updates = fanout.ResetNotNamed, nil
		}
		if i == 0 {
			stream.Backlog = updates // shared with others
		} else {
			stream.Backlog = append(stream.Backlog, updates...)
		}
		room -= size(updates)
		isQuiet = isQuiet && len(updates) == 0 && sub.Reset == 0
		stream.Subscriptions = append(stream.Subscriptions, sub)
	}
	if isQuiet {
		stream.Opening = fanout.AppendHeartbeat(stream.Opening)
	}
	return stream
}

// namesAny reports whether a client has something of any raffle.
func namesAny(seen []odds.Seen) bool {
	return slices.ContainsFunc(seen, func(s odds.Seen) bool { return s.Version > 0 })
}

// resume returns the subscription to the raffle whose newest odds are u, for a client
// that has seen something of it or nothing, and the updates that the client lacks, if
// they fit into room. If they cannot be had, the subscription begins with a reset.
func (a *API) resume(u *odds.Update, seen odds.Seen, room int) (fanout.Subscription, []*odds.Update) {
	sub := fanout.Subscription{RaffleID: u.RaffleID}
	if seen.Version == 0 {
		return sub, []*odds.Update{u}
	}
	if seen.Epoch != u.Epoch {
		sub.Reset = fanout.ResetAnotherLife
		return sub, nil
	}
	updates, complete := a.cache.Since(u.RaffleID, seen)
	switch {
	case !complete:
		sub.Reset = fanout.ResetGone
		return sub, nil
	case len(updates) > 1 && size(updates) > room:
		sub.Reset = fanout.ResetTooMany
		return sub, nil
	}
	sub.LastSent, sub.Life = seen.Version, u.Life
	sub.Final = u.Final && seen.Version == u.Version
	return sub, updates
}

// size returns how many bytes updates take on the wire.
func size(updates []*odds.Update) (bytes int) {
	for _, u := range updates {
		bytes += len(u.Frame)
	}
	return bytes
}
