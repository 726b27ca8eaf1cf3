package feed

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/rafflecast/rafflecast/services/gateway/internal/odds"
	"github.com/rafflecast/rafflecast/services/internal/oddsstream"
)

// snapshotTimeout bounds a whole snapshot; 10,000 raffles take 40 to 80 ms.
const snapshotTimeout = time.Minute

// snapshot reads each raffle's newest odds from the stream.
func (f *Feed) snapshot(ctx context.Context, js jetstream.JetStream) error {
	ctx, cancel := context.WithTimeout(ctx, snapshotTimeout)
	defer cancel()
	at, err := f.end(ctx, js)
	if err != nil {
		return err
	}
	epoch := f.board.missed()
	// From here on messages are heard as well; what the snapshot reads covers all
	// up to at.
	consumer, err := f.newConsumer(ctx, js)
	if err != nil {
		return fmt.Errorf("read stream: %w", err)
	}
	defer removeConsumer(ctx, js, consumer)
	reading := reader{f, epoch, at.sequence}
	if err := reading.read(ctx, consumer); err != nil {
		return err
	}
	f.mu.Lock()
	if !f.position.created.Equal(at.created) || at.sequence > f.position.sequence {
		f.position = at
	}
	f.mu.Unlock()
	f.ready.Store(true)
	return nil
}

// newConsumer makes a consumer of each raffle's newest odds.
func (f *Feed) newConsumer(ctx context.Context, js jetstream.JetStream) (jetstream.Consumer, error) {
	ctx, cancel := context.WithTimeout(ctx, f.requestTimeout)
	defer cancel()
	return js.CreateConsumer(ctx, oddsstream.Name, jetstream.ConsumerConfig{
		DeliverPolicy:     jetstream.DeliverLastPerSubjectPolicy,
		FilterSubject:     oddsstream.AllStored,
		AckPolicy:         jetstream.AckNonePolicy,
		MemoryStorage:     true,
		Replicas:          1,
		InactiveThreshold: snapshotTimeout,
	})
}

// removeTimeout is short: the server removes a consumer by itself where it is not
// told to.
const removeTimeout = time.Second

func removeConsumer(ctx context.Context, js jetstream.JetStream, consumer jetstream.Consumer) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), removeTimeout)
	defer cancel()
	_ = js.DeleteConsumer(ctx, oddsstream.Name, consumer.CachedInfo().Name)
}

// reader puts what a consumer has on the board.
type reader struct {
	feed  *Feed
	epoch int    // of the board, when reading began
	until uint64 // past this sequence all is heard by the subscription
}

// readBatch is how many messages are asked for at once.
const readBatch = 1000

func (r *reader) read(ctx context.Context, consumer jetstream.Consumer) error {
	pending := consumer.CachedInfo().NumPending
	for pending > 0 {
		var err error
		if pending, err = r.fetch(ctx, consumer, int(min(pending, readBatch))); err != nil {
			return fmt.Errorf("read stream: %w", err)
		}
	}
	return nil
}

// fetch takes up to n messages and returns how many are still to come.
func (r *reader) fetch(ctx context.Context, consumer jetstream.Consumer, n int) (pending uint64, err error) {
	ctx, cancel := context.WithTimeout(ctx, r.feed.requestTimeout)
	defer cancel()
	batch, err := consumer.Fetch(n, jetstream.FetchContext(ctx))
	if err != nil {
		return 0, err
	}
	got := 0
	for msg := range batch.Messages() {
		got++
		if pending, err = r.take(msg); err != nil {
			return 0, err
		}
	}
	if got == 0 && batch.Error() == nil {
		return 0, errors.New("nothing came")
	}
	return pending, batch.Error()
}

// take puts one message on the board and returns how many are still to come: a
// busy stream always has more, which would make reading it endless.
func (r *reader) take(msg jetstream.Msg) (pending uint64, err error) {
	meta, err := msg.Metadata()
	if err != nil {
		return 0, err
	}
	r.feed.take(msg.Subject(), msg.Data(), func(u *odds.Update) bool { return r.feed.board.confirm(u, r.epoch) })
	if meta.Sequence.Stream >= r.until {
		return 0, nil
	}
	return meta.NumPending, nil
}
