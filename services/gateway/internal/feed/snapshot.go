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

// snapshotTimeout bounds a whole snapshot.
const snapshotTimeout = time.Minute

// errNoStream is expected at the very first start: participation creates the stream.
var errNoStream = errors.New("there is no stream " + oddsstream.Name + " yet: participation creates it")

// snapshot merges each raffle's newest odds in the stream into the cache. They cover
// all messages up to the end that the stream has now; later ones are received live.
func (f *Feed) snapshot(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, snapshotTimeout)
	defer cancel()
	end, err := f.streamEnd(ctx)
	if err != nil {
		return err
	}
	generation := f.cfg.Cache.Invalidate()
	err = oddsstream.Snapshot(ctx, f.js, func(subject string, data []byte) {
		f.apply(subject, data, func(u *odds.Update) bool { return f.cfg.Cache.Merge(u, generation) })
	})
	if err != nil {
		return err
	}
	f.mu.Lock()
	if !f.position.created.Equal(end.created) || end.sequence > f.position.sequence {
		f.position = end
	}
	f.mu.Unlock()
	if !f.ready.Swap(true) && f.cfg.OnReady != nil {
		f.cfg.OnReady()
	}
	return nil
}

// streamEnd returns the position of the stream's last message.
func (f *Feed) streamEnd(ctx context.Context) (position, error) {
	ctx, cancel := context.WithTimeout(ctx, f.requestTimeout)
	defer cancel()
	stream, err := f.js.Stream(ctx, oddsstream.Name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return position{}, errNoStream
	}
	if err != nil {
		return position{}, fmt.Errorf("look up stream %s: %w", oddsstream.Name, err)
	}
	info := stream.CachedInfo()
	return position{info.Created, info.State.LastSeq}, nil
}
