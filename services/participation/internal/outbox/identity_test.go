package outbox

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/rafflecast/rafflecast/services/internal/oddsstream"
	"github.com/rafflecast/rafflecast/services/participation/internal/raffle"
	"github.com/rafflecast/rafflecast/services/test/natstest"
)

// delete deletes one message.
func (s *fakeStream) delete(seq uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	id := s.messages[seq-1].raffle.ID
	s.messages[seq-1].seq = 0
	delete(s.newest, id)
	for _, m := range s.messages {
		if m.raffle.ID == id && m.seq > 0 {
			s.newest[id] = m.seq
		}
	}
}

// wantComparison fails unless the stream is compared within two seconds.
func (b *testBundle) wantComparison(t *testing.T, lists int) {
	t.Helper()
	wait(t, 2*time.Second)
	if n := b.lists(); n <= lists {
		t.Error("it was not noticed")
	}
}

// Each raffle still has its newest message, and the stream its end: only the number of
// messages tells.
func TestReconcile_NoticesByTheNumberOfMessages(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := running(t, nil)
		b.source.commit(t.Context(), version(1, 3), false)
		wait(t, time.Minute)
		b.stream.wantVersions(t, 1, 2, 3)
		lists := b.lists()
		b.stream.delete(b.stream.stored(1)[0].seq)
		b.wantComparison(t, lists)
	})
}

// As many messages come as are deleted: only the number of raffles tells.
func TestReconcile_NoticesByTheNumberOfRaffles(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for name, start := range map[string]func(b *testBundle){
			"of the check before": func(b *testBundle) { // this process has published none of them
				for id := int64(1); id <= 3; id++ {
					b.stream.put(t, version(id, 2))
					b.source.published[id] = 2
				}
			},
			"that were published since": func(*testBundle) {},
		} {
			b := setup(t, testInterval)
			for id := int64(1); id <= 3; id++ {
				b.source.raffles[id] = version(id, 2)
			}
			start(b)
			stop := b.startOutbox(t, nil)
			wait(t, time.Minute)
			wait(t, 10*time.Millisecond) // not together with a check
			lists := b.lists()
			id := int64(2)
			if name == "that were published since" {
				id = 4
				b.source.commit(t.Context(), version(id, 2), false)
				wait(t, 2*testInterval)
				b.wantAll(t, 2, 2, 2, 2)
			}
			b.stream.purge(id)
			b.source.commit(t.Context(), version(1, 3), false)
			wait(t, 2*testInterval)
			b.source.commit(t.Context(), version(1, 4), false)
			b.wantComparison(t, lists)
			if versions := b.stream.versions(id); len(versions) != 1 || versions[0] != 2 {
				t.Errorf("%s: raffle %d has %v", name, id, versions)
			}
			stop()
		}
	})
}

// A raffle may be found to be removed by more than one look.
func TestMender_RemovesARaffleOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t, testInterval)
		b.stream.put(t, version(2, 13))
		m := newMender(b.queue, b.stream, b.source, b.cfg)
		for range 3 {
			if err := m.mend(t.Context(), 2); err != nil {
				t.Error(err)
			}
		}
		b.stream.wantVersions(t, 2, 13, 14)
		if b.removed.Load() != 1 {
			t.Errorf("%d removals are counted", b.removed.Load())
		}
	})
}

// A raffle whose row can't be read exists, so its viewers are not told that it is gone,
// and other raffles are mended.
func TestMender_LeavesAnUnreadableRaffle(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t, testInterval)
		b.stream.put(t, version(2, 13))
		b.source.fail(&raffle.UnreadableError{RaffleID: 2, Column: "state", Value: "9"})
		m := newMender(b.queue, b.stream, b.source, b.cfg)
		if err := m.mend(t.Context(), 2); err != nil {
			t.Error(err)
		}
		if err := m.bump(t.Context(), 2, Message{Seq: 1, Version: 13}); err != nil {
			t.Error(err)
		}
		b.stream.wantVersions(t, 2, 13)
	})
}

// Another database at the same address, even on the same server, publishes nothing into
// the stream of the one before.
func TestWatchDatabase_AnotherDatabaseDoesNotPublish(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := running(t, nil)
		b.source.mu.Lock()
		b.source.identity.ID = "another"
		b.source.mu.Unlock()
		wait(t, 2*time.Second)
		b.source.commit(t.Context(), version(1, 3), false)
		wait(t, time.Minute)
		b.wantAll(t, 2, 2, 2)
		b.source.mu.Lock()
		defer b.source.mu.Unlock()
		if b.source.resets != 1 {
			t.Errorf("connections were closed %d times", b.source.resets)
		}
	})
}

// An earlier version of the service made the stream, or has updated it since: it belongs
// to nobody until the first look at it.
func TestJetStream_AdoptsAStreamWithoutOwner(t *testing.T) {
	t.Parallel()
	for name, look := range map[string]func(context.Context, *JetStream) error{
		"Ensure": func(ctx context.Context, j *JetStream) error { return j.Ensure(ctx) },
		"Last":   func(ctx context.Context, j *JetStream) error { _, err := j.Last(ctx, 1); return err },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			js := natstest.Start(t).JetStream()
			cfg := oddsstream.Config(1)
			cfg.Metadata = map[string]string{"kept": "by us"}
			if _, err := js.CreateStream(t.Context(), cfg); err != nil {
				t.Fatal(err)
			}
			if err := look(t.Context(), newJetStream(js)); err != nil {
				t.Fatal(err)
			}
			stream, err := js.Stream(t.Context(), oddsstream.Name)
			if err != nil {
				t.Fatal(err)
			}
			if got := stream.CachedInfo().Config.Metadata; got[oddsstream.DatabaseKey] != "ours" || got["kept"] != "by us" {
				t.Errorf("metadata %v", got)
			}
			wantForeign(t, js)
		})
	}
}

// wantForeign fails unless another database is refused by the stream.
func wantForeign(t *testing.T, js jetstream.JetStream) {
	t.Helper()
	theirs := newJetStream(js)
	theirs.UseDatabase("another")
	if err := theirs.Ensure(t.Context()); !errors.As(err, new(*ForeignStreamError)) {
		t.Errorf("another database may publish: %v", err)
	}
}
