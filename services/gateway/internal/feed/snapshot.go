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
	at, err := end(ctx, js)
	if err != nil {
		return err
	}
	epoch := f.board.missed()
	// From here on messages are heard as well; what the snapshot reads covers all
	// up to at.
	consumer, err := js.CreateConsumer(ctx, oddsstream.Name, jetstream.ConsumerConfig{
		DeliverPolicy:     jetstream.DeliverLastPerSubjectPolicy,
		FilterSubject:     oddsstream.AllStored,
		AckPolicy:         jetstream.AckNonePolicy,
		MemoryStorage:     true,
		Replicas:          1,
		InactiveThreshold: snapshotTimeout,
	})
	if err != nil {
		return fmt.Errorf("read stream: %w", err)
	}
	defer func() {
		// The server removes it by itself where this fails.
		_ = js.DeleteConsumer(context.WithoutCancel(ctx), oddsstream.Name, consumer.CachedInfo().Name)
	}()
	reading := reader{f, epoch, at.sequence}
	if err := reading.read(consumer); err != nil {
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

// reader puts what a consumer has on the board.
type reader struct {
	feed  *Feed
	epoch int    // of the board, when reading began
	until uint64 // past this sequence all is heard by the subscription
}

// readBatch is how many messages are asked for at once.
const readBatch = 1000

func (r *reader) read(consumer jetstream.Consumer) error {
	pending := consumer.CachedInfo().NumPending
	for pending > 0 {
		batch, err := consumer.Fetch(int(min(pending, readBatch)), jetstream.FetchMaxWait(requestTimeout))
		if err != nil {
			return fmt.Errorf("read stream: %w", err)
		}
		got := 0
		for msg := range batch.Messages() {
			got++
			if pending, err = r.take(msg); err != nil {
				return err
			}
		}
		if err := batch.Error(); err != nil {
			return fmt.Errorf("read stream: %w", err)
		}
		if got == 0 {
			return errors.New("read stream: nothing came")
		}
	}
	return nil
}

// take puts one message on the board and returns how many are still to come: a
// busy stream always has more, which would make reading it endless.
func (r *reader) take(msg jetstream.Msg) (pending uint64, err error) {
	meta, err := msg.Metadata()
	if err != nil {
		return 0, fmt.Errorf("read stream: %w", err)
	}
	r.feed.take(msg.Subject(), msg.Data(), func(u *odds.Update) bool { return r.feed.board.confirm(u, r.epoch) })
	if meta.Sequence.Stream >= r.until {
		return 0, nil
	}
	return meta.NumPending, nil
}
