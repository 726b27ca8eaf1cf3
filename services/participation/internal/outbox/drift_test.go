package outbox

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/rafflecast/rafflecast/services/internal/oddsstream"
	"github.com/rafflecast/rafflecast/services/test/natstest"
	"github.com/rafflecast/rafflecast/services/test/testenv"
)

// full has raffle 1 reach the number of messages that the stream keeps, and returns its
// version.
func (b *testBundle) full(t *testing.T) int64 {
	t.Helper()
	v := int64(2)
	for range oddsstream.MessagesPerSubject {
		v++
		b.source.commit(t.Context(), version(1, v), false)
		wait(t, 2*testInterval)
	}
	return v
}

// As many messages come as are deleted, and each raffle still has some.
func TestReconcile_NoticesThatTheNewestOfARaffleIsDeleted(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ full, justPublished bool }{
		"while the stream grows":                      {},
		"while it grows, right after it was stored":   {justPublished: true},
		"while it is full":                            {full: true},
		"while it is full, right after it was stored": {full: true, justPublished: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := setup(t, testInterval)
				b.stream.keep = oddsstream.MessagesPerSubject
				for id := int64(1); id <= 3; id++ {
					b.source.raffles[id] = version(id, 2)
				}
				b.startOutbox(t, nil)
				wait(t, time.Second)
				v, newest := int64(2), int64(3)
				if test.full {
					v = b.full(t)
				}
				b.source.commit(t.Context(), version(2, newest), false)
				wait(t, time.Minute)
				wait(t, 10*time.Millisecond) // not together with a check
				if test.justPublished {
					newest++
					b.source.commit(t.Context(), version(2, newest), false)
					wait(t, 2*testInterval)
				}
				lists := b.lists()
				messages := b.stream.stored(2)
				b.stream.delete(messages[len(messages)-1].seq)
				for range 3 {
					v++
					b.source.commit(t.Context(), version(1, v), false)
					wait(t, 2*testInterval)
				}
				if b.lists() != lists {
					t.Fatal("a check came before what should hide the loss")
				}
				b.wantComparison(t, lists)
				b.wantAll(t, v, newest, 2)
				lists = b.lists()
				wait(t, time.Minute)
				if n := b.lists(); n != lists {
					t.Errorf("%d comparisons more", n-lists)
				}
			})
		})
	}
}

// The message that takes a raffle off its viewers' screens is deleted right after it was
// stored.
func TestReconcile_NoticesThatARemovalIsDeleted(t *testing.T) {
	t.Parallel()
	for name, later := range map[string]bool{"found at the start": false, "found later": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := setup(t, testInterval)
				b.source.raffles[1] = version(1, 2)
				b.stream.put(t, version(1, 2))
				reconnected := make(chan struct{}, 1)
				if later {
					b.startOutbox(t, reconnected)
					wait(t, time.Minute)
				}
				b.stream.put(t, version(2, 13))
				if later {
					reconnected <- struct{}{}
				} else {
					b.startOutbox(t, reconnected)
				}
				wait(t, 10*time.Millisecond) // no check comes before
				b.stream.wantVersions(t, 2, 13, 14)
				lists, messages := b.lists(), b.stream.stored(2)
				b.stream.delete(messages[len(messages)-1].seq)
				b.wantComparison(t, lists)
				if messages := b.stream.stored(2); !messages[len(messages)-1].removed || messages[len(messages)-1].seq == 0 {
					t.Errorf("raffle 2 ends with %+v", messages[len(messages)-1])
				}
				lists = b.lists()
				wait(t, time.Minute)
				if n := b.lists(); n != lists {
					t.Errorf("%d comparisons more", n-lists)
				}
			})
		})
	}
}

// A raffle's oldest messages are removed for new ones, which is no loss.
func TestReconcile_CountsOnlyWhatMayHaveBeenDeleted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := running(t, nil)
		b.stream.mu.Lock()
		b.stream.keep = oddsstream.MessagesPerSubject
		b.stream.mu.Unlock()
		lists, counts := b.lists(), b.stream.counted().counts
		v := b.full(t) - 1 // the next one removes nothing
		wait(t, 2*time.Second)
		before := b.stream.counted().counts
		if before-counts > 2 { // the last of them may have removed one
			t.Errorf("%d counts while the stream only grew", before-counts)
		}
		for range 300 {
			v += 2
			b.source.commit(t.Context(), version(1, v), false)
			wait(t, 2*testInterval)
		}
		if n := b.stream.counted().counts - before; n < 20 || n > 35 {
			t.Errorf("%d counts within 30 s", n)
		}
		if n := b.lists(); n != lists {
			t.Errorf("%d comparisons", n-lists)
		}
	})
}

func TestQueue_RemembersWhatWasAppendedUntilItIsCounted(t *testing.T) {
	t.Parallel()
	q := NewQueue(0)
	for seq := uint64(1); seq <= 6; seq++ {
		q.addAppended(int64(seq%2), seq)
	}
	if got := q.takeAppended(2, 5); len(got) != 2 || got[1] != 2 || got[0] != 1 {
		t.Errorf("from 3 to 5: %v", got)
	}
	if got := q.takeAppended(0, 10); len(got) != 1 || got[0] != 1 {
		t.Errorf("the rest: %v", got)
	}
	for seq := range uint64(maxAppended + 1) {
		if many := seq >= manyAppended; q.hasManyAppended() != many {
			t.Fatalf("%d are many: %t", seq, !many)
		}
		q.addAppended(1, seq)
	}
	if len(q.appended) != 1 {
		t.Errorf("%d are remembered", len(q.appended))
	}
}

// The real stream: the newest message of a raffle is deleted, or its subject purged but
// for some, and as many are added.
func TestReconcile_JetStreamToldToDeleteIsNoticed(t *testing.T) {
	t.Parallel()
	b, js := setup(t, 0), natstest.Start(t).JetStream()
	stream := newJetStream(js)
	b.source.raffles[1], b.source.raffles[2] = version(1, 1), version(2, 1)
	o := New(b.queue, stream, b.source, b.cfg)
	start(t, func(ctx context.Context) { o.Run(ctx, nil) })
	publish := func(id, v int64) {
		t.Helper()
		b.source.commit(t.Context(), version(id, v), false)
		if err := drained(t.Context(), b.queue); err != nil {
			t.Fatal(err)
		}
	}
	testenv.Eventually(t, "the stream is filled", time.Minute, func() bool {
		state, err := stream.State(t.Context())
		return err == nil && state.Reconciled
	})
	v := int64(1)
	for range oddsstream.MessagesPerSubject {
		v++
		publish(1, v)
	}
	publish(2, 2)
	handle, err := js.Stream(t.Context(), oddsstream.Name)
	if err != nil {
		t.Fatal(err)
	}
	for name, remove := range map[string]func(seq uint64) error{
		"deleted": func(seq uint64) error { return handle.DeleteMsg(t.Context(), seq) },
		"purged": func(uint64) error {
			return handle.Purge(t.Context(), jetstream.WithPurgeSubject(oddsstream.Subject(2)))
		},
	} {
		last, err := stream.Last(t.Context(), 2)
		if err != nil {
			t.Fatal(err)
		}
		if err := remove(last.Seq); err != nil {
			t.Fatal(err)
		}
		for range 5 {
			v++
			publish(1, v)
		}
		testenv.Eventually(t, name+": it is published again", 20*time.Second, func() bool {
			again, err := stream.Last(t.Context(), 2)
			return err == nil && again.Version == 2 && again.Seq > last.Seq
		})
	}
}
