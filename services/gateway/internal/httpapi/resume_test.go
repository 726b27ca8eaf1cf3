package httpapi

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rafflecast/rafflecast/services/gateway/internal/cache"
	"github.com/rafflecast/rafflecast/services/gateway/internal/odds"
	"github.com/rafflecast/rafflecast/services/internal/oddsstream"
)

const resetRaffle1 = "event: reset\ndata: {\"id\":1,\"reason\":\"the updates since your last event are gone\"}\n\n"

func TestSubscribe_ResumesAfterLastEvent(t *testing.T) {
	t.Parallel()
	frames := func(from, to int64) string {
		var b strings.Builder
		for v := from; v <= to; v++ {
			b.WriteString(frame(1, v))
		}
		return b.String()
	}
	for name, c := range map[string]struct{ path, header, want string }{
		"nothing known":         {subscribe1, "", frames(50, 50)},
		"in the cache":          {subscribe1, "1:e:48", frames(49, 50)},
		"in the query":          {subscribe1 + "?lastEventId=1:e:48", "", frames(49, 50)},
		"the header counts":     {subscribe1 + "?lastEventId=1:e:48", "1:e:49", frames(50, 50)},
		"in the stream":         {subscribe1, "1:e:20", frames(21, 50)},
		"the oldest of them":    {subscribe1, "1:e:10", frames(11, 50)},
		"gone":                  {subscribe1, "1:e:9", resetRaffle1 + frames(50, 50)},
		"another life":          {subscribe1, "1:d:48", resetEvent(1, "this is another raffle than the one you have seen") + frames(50, 50)},
		"another life, ahead":   {subscribe1, "1:d:99", resetEvent(1, "this is another raffle than the one you have seen") + frames(50, 50)},
		"without an epoch":      {subscribe1, "1:48", resetEvent(1, "this is another raffle than the one you have seen") + frames(50, 50)},
		"another raffle's":      {subscribe1, "2:e:48", frames(50, 50)},
		"not an id":             {subscribe1, "x:y:z", frames(50, 50)},
		"not a version":         {subscribe1, "1:e:-48", frames(50, 50)},
		"has the newest":        {subscribe1, "1:e:50", ""},
		"another was ahead":     {subscribe1, "1:e:51", ""},
		"one of several":        {subscribe1, "2:e:7,1:e:48", frames(49, 50)},
		"not a number so large": {subscribe1, "1:e:99999999999999999999", frames(50, 50)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			forEach(t, allTransports, nil, func(b *testBundle) {
				b.feed.depth = 40
				for v := range int64(50) {
					b.feed.put(update(1, v+1))
				}
				var pairs []string
				if c.header != "" {
					pairs = []string{"Last-Event-ID", c.header}
				}
				from := time.Now()
				s := b.subscribe(c.path, pairs...)
				got := s.opening()
				if took := time.Since(from); took > b.fanout.Heartbeat/2 {
					b.t.Errorf("the first event came after %v", took)
				}
				for len(got) < len(c.want) {
					got += s.next()
				}
				if got != c.want && (c.want != "" || !isHeartbeat(got)) {
					b.t.Fatalf("got %q, want %q", got, c.want)
				}
				b.publish(update(1, 50)) // again: nobody gets it twice
				b.publish(update(1, 51))
				b.publish(update(1, 52))
				for {
					block := s.next()
					if block == frame(1, 52) {
						return
					}
					if block != frame(1, 51) || c.header == "1:e:51" {
						b.t.Fatalf("then %q", block)
					}
				}
			})
		})
	}
}

// A raffle with 140 versions a second has 20 updates a second after conflation. A client
// that was away for 5 s, the longest retry, gets all of them in order, and so does one
// that needed as long again to connect; whether the instance has run all the time or has
// just started; and whether or not another client has asked before.
func TestSubscribe_ResumesAfterLongestRetryOnBusyRaffle(t *testing.T) {
	t.Parallel()
	const (
		perSecond = int64(time.Second / oddsstream.ConflationInterval)
		step      = 140 / perSecond // versions from one update to the next
		total     = int64(1000)
		retry     = int64(oddsstream.LongestRetry / time.Second)
	)
	for name, justStarted := range map[string]bool{"running": false, "just started": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			forEach(t, allTransports, nil, func(b *testBundle) {
				b.feed.depth = oddsstream.MessagesPerSubject
				for n := int64(1); n <= total; n++ {
					if justStarted && n < total {
						b.feed.store(update(1, n*step))
					} else {
						b.feed.put(update(1, n*step))
					}
				}
				newest := total
				for _, secondsAway := range []int64{retry, 1, 2*retry - 1, retry} {
					seen := newest - secondsAway*perSecond
					s := b.subscribe(subscribe1, "Last-Event-ID", odds.ID(update(1, seen*step)))
					if got := s.opening(); got != frame(1, (seen+1)*step) {
						b.t.Fatalf("after %d s away: %q", secondsAway, got)
					}
					for n := seen + 2; n <= newest; n++ {
						s.expect(frame(1, n*step))
					}
					newest++
					b.publish(update(1, newest*step))
					s.expect(frame(1, newest*step))
					s.Body.Close()
				}
				if b.feed.backfills != 1 {
					b.t.Errorf("%d backfills", b.feed.backfills)
				}
			})
		})
	}
}

// Resuming several raffles waits for their backfills side by side.
func TestSubscribeSeveral_BackfillsSideBySide(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		newest, feed := cache.New(), &slowFeed{}
		var ids, seen []int64
		for id := range int64(100) {
			newest.Put(update(id+1, 10))
			ids, seen = append(ids, id+1), append(seen, id%3) // a third has seen none
		}
		from := time.Now()
		(&API{cache: newest, feed: feed}).backfill(t.Context(), ids, seenOf(seen...))
		if took := time.Since(from); took != slowBackfill || feed.backfills.Load() != 66 {
			t.Errorf("%d backfills took %v", feed.backfills.Load(), took)
		}
	})
}

const slowBackfill = 2 * time.Second

// slowFeed takes its time.
type slowFeed struct{ backfills atomic.Int32 }

func (*slowFeed) Ready() bool { return true }

func (*slowFeed) Complete() bool { return true }

func (f *slowFeed) Backfill(context.Context, int64) {
	f.backfills.Add(1)
	time.Sleep(slowBackfill)
}

// The frames of a backlog are shared: a client that comes back costs no copy of them.
func TestSubscribe_SharesBacklog(t *testing.T) {
	t.Parallel()
	newest := cache.New()
	var stored []*odds.Update
	for v := range int64(oddsstream.MessagesPerSubject) {
		stored = append(stored, update(1, v+1))
	}
	newest.Put(stored[len(stored)-1])
	newest.Backfill(1, stored)
	a := &API{cache: newest}
	one1 := []*odds.Update{newest.Newest(1)}
	one, other := a.open(one1, seenOf(1)), a.open(one1, seenOf(101))
	if len(one.Backlog) != len(stored)-1 || &one.Backlog[100] != &other.Backlog[0] || len(one.Opening) > 100 {
		t.Errorf("%d and %d updates, %d bytes", len(one.Backlog), len(other.Backlog), len(one.Opening))
	}
	// That of several raffles must not be appended to the shared slice.
	newest.Put(update(2, 1))
	newest.Put(update(2, 2))
	both := a.open([]*odds.Update{newest.Newest(1), newest.Newest(2)}, seenOf(1, 1))
	newest.Put(update(1, int64(len(stored))+1))
	if n := len(both.Backlog); n != len(stored) || both.Backlog[n-1].RaffleID != 2 {
		t.Errorf("%d updates, the last of raffle %d", n, both.Backlog[n-1].RaffleID)
	}
}

// seenOf returns what a client has that has seen a version of each raffle.
func seenOf(versions ...int64) (seen []odds.Seen) {
	for _, v := range versions {
		seen = append(seen, odds.Seen{Epoch: testEpoch, Version: v})
	}
	return seen
}
