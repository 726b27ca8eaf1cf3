package outbox

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/protobuf/proto"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
	"github.com/rafflecast/rafflecast/services/internal/oddsstream"
	"github.com/rafflecast/rafflecast/services/participation/internal/raffle"
	"github.com/rafflecast/rafflecast/services/test/natstest"
)

// newJetStream returns the stream of the database "ours".
func newJetStream(js jetstream.JetStream) *JetStream {
	j := NewJetStream(js, oddsstream.Names{}, 1)
	j.UseDatabase("ours")
	return j
}

// drained waits until everything in a queue is published.
func drained(ctx context.Context, q *Queue) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	return q.Drain(ctx)
}

// newestInStream returns the version of a raffle's last message, and fails the test
// if it cannot be read.
func newestInStream(t *testing.T, s Stream, id int64) int64 {
	t.Helper()
	last, err := s.Last(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return last.Version
}

func TestRelay_PublishesTheNewestToJetStream(t *testing.T) {
	t.Parallel()
	b, stream := setup(t, 0), newJetStream(natstest.Start(t).JetStream())
	published := make(chan int64, 2000)
	b.cfg.OnPublished = func(r raffle.Raffle) { published <- r.Version }
	start(t, b.relay(stream).run)
	const last = 1000
	for v := int64(1); v <= last; v++ {
		b.queue.Enqueue(t.Context(), version(1, v), version(2, v))
	}
	if err := drained(t.Context(), b.queue); err != nil {
		t.Fatal(err)
	}
	for id := int64(1); id <= 2; id++ {
		if v := newestInStream(t, stream, id); v != last {
			t.Errorf("raffle %d is at version %d in the stream", id, v)
		}
	}
	if acked := b.queue.takeAcked(); acked[1].Version != last || acked[2].Version != last {
		t.Errorf("acknowledged %v", acked)
	}
	// 2,000 versions came in a few ms, and an acknowledgement takes 0.1 ms.
	if n := len(published); n > 1800 {
		t.Errorf("%d messages were published: none was replaced by a newer one", n)
	}
}

func TestRelay_NeverMovesTheStreamBackwards(t *testing.T) {
	t.Parallel()
	server := natstest.Start(t)
	js := server.JetStream()
	if err := newJetStream(js).Ensure(t.Context()); err != nil {
		t.Fatal(err)
	}
	// The stream keeps a few messages only, so they are taken as they are stored.
	live, received := subscribe(t, server, oddsstream.AllLive)
	const last = 400
	errs := make(chan error, 3)
	for i := range 3 {
		go func() { errs <- crashingInstance(t.Context(), uint64(i), last, newJetStream(js)) }()
	}
	for range 3 {
		if err := <-errs; err != nil {
			t.Fatal(err)
		}
	}
	if err := live.Flush(); err != nil {
		t.Fatal(err)
	}
	state, err := newJetStream(js).State(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	before := int64(0)
	for n := uint64(0); n < state.Last; n++ {
		var o rafflev1.Odds
		if err := proto.Unmarshal((<-received).Data, &o); err != nil {
			t.Fatal(err)
		}
		if o.GetVersion() <= before {
			t.Errorf("the stream went from version %d to %d", before, o.GetVersion())
		}
		before = o.GetVersion()
	}
	if before != last || state.Last < 50 {
		t.Errorf("the stream ends with version %d, after %d messages", before, state.Last)
	}
}

// subscribe returns a connection and what is published on a subject from now on.
func subscribe(t *testing.T, server *natstest.Server, subject string) (*nats.Conn, <-chan *nats.Msg) {
	t.Helper()
	nc, err := nats.Connect(server.URL())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	received := make(chan *nats.Msg, 10_000)
	if _, err := nc.ChanSubscribe(subject, received); err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	return nc, received
}

// crashingInstance publishes some versions of raffle 1, in their order. Now and then
// it waits until they are published, or is killed and starts again without its memory.
// In the end it publishes the last.
func crashingInstance(ctx context.Context, seed uint64, last int64, stream Stream) error {
	rng := rand.New(rand.NewPCG(1, seed))
	stored := func(v int64) raffle.Raffle { // what every instance reads from the database
		r := version(1, v)
		r.UpdatedAt = time.Time{}
		return r
	}
	var cfg Config
	cfg.fillDefaults()
	var running sync.WaitGroup
	var queue *Queue
	kill := func() {}
	restart := func() {
		kill()
		running.Wait()
		ctx, cancel := context.WithCancel(ctx)
		kill, queue = cancel, NewQueue(0)
		running.Go(func() { newRelay(queue, stream, newMender(queue, stream, nil, cfg), cfg).run(ctx) })
	}
	restart()
	defer func() { kill(); running.Wait() }()
	for v := int64(1); v <= last; v++ {
		if rng.IntN(3) > 0 {
			queue.Enqueue(ctx, stored(v))
		}
		switch rng.IntN(20) {
		case 0:
			restart()
		case 1, 2, 3, 4:
			if err := drained(ctx, queue); err != nil {
				return fmt.Errorf("instance %d: %w", seed, err)
			}
		}
	}
	queue.Enqueue(ctx, stored(last))
	if err := drained(ctx, queue); err != nil {
		return fmt.Errorf("instance %d: %w", seed, err)
	}
	return nil
}

func TestRelay_GoesOnWhenTheServerIsBack(t *testing.T) {
	t.Parallel()
	server := natstest.Start(t)
	nc, err := nats.Connect(server.URL(), nats.MaxReconnects(-1), nats.ReconnectWait(10*time.Millisecond),
		nats.ReconnectBufSize(-1)) // as the service connects: publishing fails while there is no connection
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	b, stream := setup(t, 0), newJetStream(js)
	failed := make(chan struct{}, 1)
	b.cfg.OnFailed = func() { signal(failed) }
	start(t, b.relay(stream).run)
	b.queue.Enqueue(t.Context(), version(1, 1))
	if err := drained(t.Context(), b.queue); err != nil {
		t.Fatal(err)
	}
	disconnected := nc.StatusChanged(nats.RECONNECTING)
	server.Stop()
	<-disconnected
	b.queue.Enqueue(t.Context(), version(1, 2))
	<-failed
	b.queue.Enqueue(t.Context(), version(1, 3))
	if b.queue.Pending() != 1 {
		t.Errorf("%d raffles are pending", b.queue.Pending())
	}
	server.Start()
	if err := drained(t.Context(), b.queue); err != nil {
		t.Fatal(err)
	}
	if v := newestInStream(t, stream, 1); v != 3 {
		t.Errorf("the stream is at version %d", v)
	}
}
