package oddsstream

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

const (
	// fetchBatch is how many messages are asked for at once.
	fetchBatch = 1000
	// fetchTimeout bounds the wait for them.
	fetchTimeout = 5 * time.Second
	// idleTimeout is when the server removes a reader that went away.
	idleTimeout = 30 * time.Second
)

// Snapshot calls take with each raffle's newest message in the stream, as of now
// or later; a raffle may come more than once, its newest last.
func Snapshot(ctx context.Context, js jetstream.JetStream, take func(subject string, data []byte)) error {
	stream, err := js.Stream(ctx, Name)
	if err != nil {
		return fmt.Errorf("look at stream %s: %w", Name, err)
	}
	consumer, err := stream.CreateConsumer(ctx, jetstream.ConsumerConfig{
		DeliverPolicy:     jetstream.DeliverLastPerSubjectPolicy,
		FilterSubject:     AllStored,
		AckPolicy:         jetstream.AckNonePolicy,
		MemoryStorage:     true,
		Replicas:          1,
		InactiveThreshold: idleTimeout,
	})
	if err != nil {
		return fmt.Errorf("read stream %s: %w", Name, err)
	}
	// Where this fails, the server removes it by itself.
	defer func() { _ = stream.DeleteConsumer(context.WithoutCancel(ctx), consumer.CachedInfo().Name) }()
	pending := consumer.CachedInfo().NumPending
	for pending > 0 {
		batch, err := consumer.Fetch(int(min(pending, fetchBatch)), jetstream.FetchMaxWait(fetchTimeout))
		if err != nil {
			return fmt.Errorf("read stream %s: %w", Name, err)
		}
		before := pending
		for msg := range batch.Messages() {
			take(msg.Subject(), msg.Data())
			// Not what the server says is pending: in a busy stream that has no end.
			pending--
		}
		if err := batch.Error(); err != nil {
			return fmt.Errorf("read stream %s: %w", Name, err)
		}
		if pending == before {
			return errors.New("read stream " + Name + ": nothing came")
		}
	}
	return nil
}
