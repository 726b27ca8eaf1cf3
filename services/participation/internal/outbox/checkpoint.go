package outbox

import (
	"context"
	"errors"
	"log/slog"
	"time"
)

const (
	// checkpointInterval and recoveryAge add up to less than the 2 s within which
	// versions are published that a crash left behind.
	checkpointInterval = 500 * time.Millisecond
	// recoveryAge is how long a version may be unpublished before it counts as left
	// behind. Younger ones are most likely on their way.
	recoveryAge = time.Second
	// checkpointTimeout bounds one checkpoint and recovery.
	checkpointTimeout = 10 * time.Second
	// lastCheckpointTimeout bounds the checkpoint at the stop.
	lastCheckpointTimeout = time.Second
)

// checkpointer marks in the database what is published, and enqueues what a crash
// left unpublished. Every instance does this; they do not hinder each other.
type checkpointer struct {
	queue  *Queue
	source Source
	mend   func(ctx context.Context, raffleID int64) error // mends what has drifted
	log    *slog.Logger

	drifted []int64 // raffles that are to be mended
}

func (c *checkpointer) run(ctx context.Context) {
	tick := time.NewTicker(checkpointInterval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			c.once(ctx)
		case <-ctx.Done():
			return
		}
	}
}

func (c *checkpointer) once(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, checkpointTimeout)
	defer cancel()
	c.mark(ctx)
	unpublished, err := c.source.Unpublished(ctx, recoveryAge)
	if err != nil {
		c.warn(ctx, "versions that a crash left unpublished can't be read: will try again", err)
	}
	c.queue.Enqueue(ctx, unpublished...)
}

// last is the checkpoint after everything else has stopped.
func (c *checkpointer) last(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, lastCheckpointTimeout)
	defer cancel()
	c.mark(ctx)
}

// mark marks what was published since the last time. If that fails, Unpublished will
// return those versions, the queue will find that they are published, and they are
// marked then.
//
// What the stream has and the database has not was lost by the database, or restored
// away. It is mended one by one, since it is rare.
func (c *checkpointer) mark(ctx context.Context) {
	drifted, err := c.source.Checkpoint(ctx, c.queue.takeAcked())
	if err != nil {
		c.warn(ctx, "published versions can't be marked: will try again", err)
	}
	c.drifted = append(c.drifted, drifted...)
	for len(c.drifted) > 0 {
		if err := c.mend(ctx, c.drifted[0]); err != nil {
			c.warn(ctx, "a raffle of which the stream has more than the database can't be compared: will try again", err)
			return
		}
		c.drifted = c.drifted[1:]
	}
}

func (c *checkpointer) warn(ctx context.Context, message string, err error) {
	if errors.Is(context.Cause(ctx), context.Canceled) {
		return // the service is stopping
	}
	c.log.WarnContext(ctx, message, "error", err)
}
