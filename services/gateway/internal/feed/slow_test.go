package feed

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/rafflecast/rafflecast/services/gateway/internal/odds"
	"github.com/rafflecast/rafflecast/services/internal/natsconn"
	"github.com/rafflecast/rafflecast/services/test/testenv"
)

// A message is dropped of which nothing else gives notice: none follows it whose
// sequence would show a gap, and the stream's end is not checked.
func TestFeed_SlowConsumerFetchesNewest(t *testing.T) {
	t.Parallel()
	const pending = 10
	b := setup(t)
	b.createStream()
	cfg := b.config(b.server.URL())
	var once sync.Once
	busy, released := make(chan struct{}), make(chan struct{})
	release := sync.OnceFunc(func() { close(released) })
	cfg.Publish = func(u *odds.Update) {
		b.publishedOne(u)
		once.Do(func() { close(busy); <-released })
	}
	cfg.Received = func(u *odds.Update) {
		if u.RaffleID == 2 && u.Version == pending {
			t.Error("the last message was received, not dropped")
		}
	}
	slow, connect := make(chan struct{}, 1), cfg.Connect
	cfg.Connect = func(callbacks natsconn.Callbacks) (*nats.Conn, error) {
		onError := callbacks.OnError
		callbacks.OnError = func(err error) {
			onError(err)
			if errors.Is(err, nats.ErrSlowConsumer) {
				slow <- struct{}{}
			}
		}
		return connect(callbacks)
	}
	b.run(cfg, func(f *Feed) { f.pendingMessages, f.checkInterval = pending, time.Hour })
	t.Cleanup(release) // or the feed could not stop
	b.nextSnapshot(Connected)

	b.publish(1, 1)
	testenv.Receive(t, "raffle 1 is published", patienceOfTests, busy)
	for v := range int64(pending) { // with the one above one too many
		b.publish(2, v+1)
	}
	testenv.Receive(t, "the last message is dropped", patienceOfTests, slow)
	release()
	b.awaitVersion(2, pending)
	b.nextSnapshot(SlowConsumer)
}
