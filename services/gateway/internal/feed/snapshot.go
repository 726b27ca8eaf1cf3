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
var errNoStream = errors.New("there is no such stream yet: participation creates it")

// maxBehind is how many snapshots in a row may lack the stream's last message. Then it
// must have been deleted.
const maxBehind = 4

// snapshot merges each raffle's newest odds in the stream into the cache. They cover
// all messages up to the end that the stream has now; later ones are received live. It
// returns how many raffles the stream lacks, but did not lack long enough to be removed.
//
// The messages may come from a replica that is behind. A snapshot that lacks the
// stream's last message is not believed.
func (f *Feed) snapshot(ctx context.Context) (absent int, err error) {
	ctx, cancel := context.WithTimeout(ctx, snapshotTimeout)
	defer cancel()
	end, err := f.streamEnd(ctx)
	if err != nil {
		return 0, err
	}
	stream := f.beginStream(end)
	generation := f.cfg.Cache.Invalidate()
	_, err = oddsstream.Snapshot(ctx, f.js, f.cfg.Names, func(m jetstream.Msg, meta *jetstream.MsgMetadata) {
		u, err := f.decode(m.Subject(), m.Data())
		if err != nil {
			f.logBadMessage(m.Subject(), err)
			return
		}
		u.Position = odds.Position{Stream: stream, Sequence: meta.Sequence.Stream}
		f.publishMu.Lock()
		defer f.publishMu.Unlock()
		if f.cfg.Cache.Merge(u, generation) {
			f.cfg.Publish(u)
		}
	})
	if errors.Is(err, oddsstream.ErrBehind) && f.behind < maxBehind-1 {
		f.behind++
		return 0, err
	}
	if err != nil && !errors.Is(err, oddsstream.ErrBehind) {
		return 0, err
	}
	f.behind = 0
	f.mu.Lock()
	f.position.sequence = max(f.position.sequence, end.sequence)
	f.mu.Unlock()
	if !end.reconciled {
		f.complete.Store(false)
		return 0, nil
	}
	f.complete.Store(true)
	if !f.ready.Swap(true) && f.cfg.OnReady != nil {
		f.cfg.OnReady()
	}
	return f.removeAbsent(generation), nil
}

// beginStream notes which stream is read, and returns its number. Live messages that
// came before are of an older one.
func (f *Feed) beginStream(end streamEnd) int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.position.created.Equal(end.created) {
		f.position = position{created: end.created, stream: f.position.stream + 1}
	}
	return f.position.stream
}

// removeAbsent removes raffles that a complete snapshot of this generation and those of
// the last seconds lacked, and returns how many more were absent.
func (f *Feed) removeAbsent(generation int) (absent int) {
	f.publishMu.Lock()
	defer f.publishMu.Unlock()
	gone, absent := f.cfg.Cache.Absent(generation)
	for _, u := range gone {
		removal, err := odds.Removal(u)
		if err != nil || !f.cfg.Cache.RemoveAbsent(u) {
			continue
		}
		f.cfg.Log.Warn("odds: removed a raffle that the stream does not have any more",
			"raffle", u.RaffleID, "version", u.Version)
		f.cfg.Publish(removal)
	}
	return absent
}

// streamEnd is what a check of the stream finds.
type streamEnd struct {
	created    time.Time
	sequence   uint64 // of the last message
	subjects   int    // as many raffles have messages
	reconciled bool   // a raffle without messages does not exist
}

// streamEnd looks at the stream.
func (f *Feed) streamEnd(ctx context.Context) (streamEnd, error) {
	ctx, cancel := context.WithTimeout(ctx, f.requestTimeout)
	defer cancel()
	stream, err := f.js.Stream(ctx, f.cfg.Names.Stream())
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return streamEnd{}, fmt.Errorf("stream %s: %w", f.cfg.Names.Stream(), errNoStream)
	}
	if err != nil {
		return streamEnd{}, fmt.Errorf("look up stream %s: %w", f.cfg.Names.Stream(), err)
	}
	info := stream.CachedInfo()
	if err := oddsstream.CheckLeader(info); err != nil {
		return streamEnd{}, err
	}
	return streamEnd{
		info.Created, info.State.LastSeq, int(info.State.NumSubjects),
		oddsstream.Reconciled(info.Config.Metadata),
	}, nil
}
