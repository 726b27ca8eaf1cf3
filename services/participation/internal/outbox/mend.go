package outbox

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/time/rate"

	"github.com/rafflecast/rafflecast/services/participation/internal/raffle"
)

// damageInterval is the least time between two log lines about damaged messages.
const damageInterval = time.Second

// mender mends the difference between the stream and the database for one raffle. What
// the database holds is the truth. Its methods are safe for concurrent use.
type mender struct {
	queue     *Queue
	stream    Stream
	source    Source
	cfg       Config
	damageLog *rate.Sometimes
}

func newMender(queue *Queue, stream Stream, source Source, cfg Config) *mender {
	return &mender{queue: queue, stream: stream, source: source, cfg: cfg, damageLog: &rate.Sometimes{Interval: damageInterval}}
}

// mend reads what the stream and the database have of a raffle, and mends the
// difference.
func (d *mender) mend(ctx context.Context, raffleID int64) error {
	// The stream is read before the database, because a version is in the database
	// before it is in the stream: what is higher in the stream then is a difference.
	last, err := d.stream.Last(ctx, raffleID)
	if err != nil {
		return err
	}
	current, err := d.source.Get(ctx, raffleID)
	if _, ok := errors.AsType[*raffle.NotFoundError](err); ok {
		return d.remove(ctx, raffleID, last)
	}
	if isUnreadable(err) {
		return nil // it exists; viewers keep what they know
	}
	if err != nil {
		return fmt.Errorf("read raffle: %w", err)
	}
	_, err = d.compare(ctx, &current, last)
	return err
}

// compare mends the difference between a raffle in the database and its last message,
// and reports whether a message is enqueued that the stream lacks.
func (d *mender) compare(ctx context.Context, current *raffle.Raffle, last Message) (republished bool, err error) {
	if last.Damaged {
		d.reportDamage(ctx, current.ID, last)
	}
	switch last.relate(current) {
	case ahead:
		return false, d.bump(ctx, current.ID, last)
	case behind:
		// Entries are taken before the comparison, so that a row that was restored may have
		// overtaken what viewers have seen. A raffle that had its id before may have had a log
		// of the same name.
		if current.Log != nil && (!d.cfg.Comparison.Done() || !sameLife(last.Epoch, current.Epoch)) {
			if restarted, err := d.restartLog(ctx, current.ID, last.Log); err != nil || restarted {
				return restarted, err
			}
		}
		d.queue.republish(*current)
		return true, nil
	case equal:
	}
	return false, nil
}

// bump gives a raffle a version above that of its last message if the row is still
// behind it, or has the same version with other content. Then the database was restored
// or has lost commits. Gateways ignore versions that are not higher than they know.
func (d *mender) bump(ctx context.Context, raffleID int64, last Message) error {
	if _, err := d.restartLog(ctx, raffleID, last.Log); err != nil {
		return err
	}
	var before int64
	bumped, err := d.source.BumpVersion(ctx, raffleID, last.Version, func(current raffle.Raffle) bool {
		before = current.Version
		return last.relate(&current) == ahead
	})
	if isUnreadable(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("bump version: %w", err)
	}
	if bumped {
		d.cfg.OnBumped()
		d.cfg.Log.WarnContext(ctx, "the stream is ahead of the database, which was restored or has lost commits: the raffle's version was bumped",
			"raffle", raffleID, "database", before, "stream", last.Version)
	}
	return nil
}

// restartLog begins another log of a raffle if records that viewers have seen are lost,
// and reports whether it did. The new version is enqueued then.
func (d *mender) restartLog(ctx context.Context, raffleID int64, seen raffle.SeenLog) (bool, error) {
	if seen.Size == 0 {
		return false, nil
	}
	restarted, err := d.source.RestartLog(ctx, raffleID, seen)
	if isUnreadable(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("restart log: %w", err)
	}
	if restarted {
		d.cfg.Log.WarnContext(ctx, "records of a raffle's log that were published are lost: another log was begun, with new tickets", "raffle", raffleID)
	}
	return restarted, nil
}

// isUnreadable reports whether a raffle exists whose row can't be read. The source has
// reported it.
func isUnreadable(err error) bool {
	_, ok := errors.AsType[*raffle.UnreadableError](err)
	return ok
}

// remove tells the viewers of a raffle that it does not exist, unless they have been
// told.
func (d *mender) remove(ctx context.Context, raffleID int64, last Message) error {
	if last.Seq == 0 || last.Removed {
		return nil
	}
	if last.Damaged {
		d.reportDamage(ctx, raffleID, last)
	}
	seq, err := d.stream.Remove(ctx, raffleID, last)
	if err != nil {
		return fmt.Errorf("remove raffle %d from the stream: %w", raffleID, err)
	}
	d.queue.addAppended(raffleID, seq)
	d.cfg.OnRemoved()
	d.cfg.Log.WarnContext(ctx, "the stream has a raffle that the database does not have, because it was restored or has lost commits: its viewers are told that it is gone",
		"raffle", raffleID, "stream", last.Version)
	return nil
}

// reportDamage reports a message that no reader can believe. The truth is appended
// behind it, and its version is of no consequence.
func (d *mender) reportDamage(ctx context.Context, raffleID int64, last Message) {
	d.cfg.OnDamaged()
	d.damageLog.Do(func() {
		d.cfg.Log.ErrorContext(ctx, "the stream has a message that can't be odds of its raffle: it is ignored, and the raffle's odds are published again",
			"raffle", raffleID, "sequence", last.Seq)
	})
}
