package outbox_test

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/protobuf/proto"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
	"github.com/rafflecast/rafflecast/services/internal/oddsstream"
	"github.com/rafflecast/rafflecast/services/participation/internal/outbox"
	"github.com/rafflecast/rafflecast/services/participation/internal/raffle"
	"github.com/rafflecast/rafflecast/services/test/natstest"
	"github.com/rafflecast/rafflecast/services/test/testenv"
)

func odds(id, version int64) raffle.Odds {
	r := raffle.Raffle{ID: id, Version: version, Winners: 1, Entries: version, State: raffle.Open}
	return r.Odds()
}

// start runs a publisher until the test, or the returned function, ends it.
func start(t *testing.T, js jetstream.JetStream) (*outbox.Publisher, func()) {
	t.Helper()
	p := outbox.New(outbox.NewJetStream(js, 1), outbox.Config{Log: slog.New(slog.NewTextHandler(t.Output(), nil))})
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { p.Run(ctx) })
	end := func() { stop(); running.Wait() }
	t.Cleanup(end)
	return p, end
}

func idle(p *outbox.Publisher) func() bool { return func() bool { return p.Waiting() == 0 } }

// history returns the versions in the stream, by raffle, in their order.
func history(t *testing.T, js jetstream.JetStream) map[int64][]int64 {
	t.Helper()
	stream, err := js.Stream(t.Context(), oddsstream.Name)
	if err != nil {
		t.Fatal(err)
	}
	info := stream.CachedInfo().State
	got := map[int64][]int64{}
	for seq := info.FirstSeq; seq <= info.LastSeq; seq++ {
		msg, err := stream.GetMsg(t.Context(), seq)
		if err != nil {
			continue // gone by the limit per raffle
		}
		var o rafflev1.Odds
		if err := proto.Unmarshal(msg.Data, &o); err != nil {
			t.Fatal(err)
		}
		got[o.GetId()] = append(got[o.GetId()], o.GetVersion())
	}
	return got
}

// rising checks that versions only rise, and end with last.
func rising(t *testing.T, versions []int64, last int64) {
	t.Helper()
	for i := 1; i < len(versions); i++ {
		if versions[i] <= versions[i-1] {
			t.Errorf("the stream went from version %d to %d", versions[i-1], versions[i])
		}
	}
	if len(versions) == 0 || versions[len(versions)-1] != last {
		t.Errorf("the stream ends with %v, want %d", versions, last)
	}
}

func TestTheNewestIsPublishedAndTheStreamMade(t *testing.T) {
	t.Parallel()
	js := natstest.Start(t).JetStream()
	p, _ := start(t, js)
	for v := range int64(1000) {
		p.Publish(t.Context(), odds(1, v+1), odds(2, v+1))
	}
	testenv.Eventually(t, "published", 20*time.Second, idle(p))
	got := history(t, js)
	rising(t, got[1], 1000)
	rising(t, got[2], 1000)
	if len(got[1]) > 900 {
		t.Errorf("%d messages were stored: none gave way to a newer one", len(got[1]))
	}
	if marks := p.TakePublished(); marks[1] != 1000 || marks[2] != 1000 {
		t.Errorf("marked %v", marks)
	}
	if marks := p.TakePublished(); len(marks) != 0 {
		t.Errorf("marked twice: %v", marks)
	}
	p.Publish(t.Context(), odds(1, 999)) // a sweep read it before the mark was noted
	if marks := p.TakePublished(); marks[1] != 1000 {
		t.Errorf("what is known to be published is not marked again: %v", marks)
	}
}

func TestPublishersOfOneDatabaseNeverMoveTheStreamBackwards(t *testing.T) {
	t.Parallel()
	js := natstest.Start(t).JetStream()
	const last = 400
	var instances sync.WaitGroup
	for i := range 3 {
		instances.Go(func() {
			// Each instance tells of some versions, in order, is killed now and
			// then, and does not remember; at last it sweeps the newest.
			rng := rand.New(rand.NewPCG(1, uint64(i)))
			p, kill := start(t, js)
			for v := int64(1); v <= last; v++ {
				if rng.IntN(3) > 0 {
					p.Publish(t.Context(), odds(1, v))
				}
				if rng.IntN(20) == 0 {
					kill()
					p, kill = start(t, js)
				}
			}
			p.Publish(t.Context(), odds(1, last))
			testenv.Eventually(t, "published", 20*time.Second, idle(p))
		})
	}
	instances.Wait()
	rising(t, history(t, js)[1], last)
}

func TestPublishingGoesOnWhenTheServerIsBack(t *testing.T) {
	t.Parallel()
	server := natstest.Start(t)
	js := server.JetStream()
	p, _ := start(t, js)
	p.Publish(t.Context(), odds(1, 1))
	testenv.Eventually(t, "published", 20*time.Second, idle(p))
	server.Stop()
	p.Publish(t.Context(), odds(1, 2))
	p.Publish(t.Context(), odds(1, 3))
	server.Start()
	testenv.Eventually(t, "published after the restart", 20*time.Second, idle(p))
	rising(t, history(t, js)[1], 3)
}

func TestANewPublisherStepsBackBehindAHigherVersion(t *testing.T) {
	t.Parallel()
	js := natstest.Start(t).JetStream()
	ahead, _ := start(t, js)
	ahead.Publish(t.Context(), odds(1, 10))
	testenv.Eventually(t, "published", 20*time.Second, idle(ahead))
	behind, _ := start(t, js)
	behind.Publish(t.Context(), odds(1, 9))
	testenv.Eventually(t, "published", 20*time.Second, idle(behind))
	if marks := behind.TakePublished(); marks[1] != 10 {
		t.Errorf("marked %v", marks)
	}
	rising(t, history(t, js)[1], 10)
}
