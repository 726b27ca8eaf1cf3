package outbox

import (
	"context"
	"errors"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/rafflecast/rafflecast/services/participation/internal/raffle"
)

const (
	// workers is how many messages may be in flight. An acknowledgement takes 0.1 to
	// 0.3 ms, so these carry more than 200,000 messages a second; the server takes
	// fewer.
	workers = 64
	// retryDelay is how long a worker pauses after a failure.
	retryDelay = 250 * time.Millisecond
	// maxConflicts is how many conflicts a worker resolves one after the other before
	// it counts as a failure: another process may be faster, and a replica of the stream
	// may not have the last message yet.
	maxConflicts = 5
	// minRelease is the least time between two looks at the throttled slots, so that
	// many of them are released together.
	minRelease = time.Millisecond
	// logInterval is the least time between two log lines about failures: without
	// NATS, every raffle fails again and again.
	logInterval = time.Second
)

// ErrConflict means that the raffle's last message in the stream is not the one that
// was expected.
var ErrConflict = errors.New("the raffle's last message is another one")

// errTooSoon means that another process has published a message of the raffle within
// the conflation interval.
var errTooSoon = errors.New("the conflation interval has not passed")

// relay publishes what is in the queue.
type relay struct {
	queue  *Queue
	stream Stream
	mender *mender
	cfg    Config
	log    rate.Sometimes
}

func newRelay(queue *Queue, stream Stream, mender *mender, cfg Config) *relay {
	return &relay{queue: queue, stream: stream, mender: mender, cfg: cfg, log: rate.Sometimes{Interval: logInterval}}
}

// run publishes until ctx ends.
func (r *relay) run(ctx context.Context) {
	var running sync.WaitGroup
	for range workers {
		running.Go(func() { r.work(ctx) })
	}
	running.Go(func() { r.releaseThrottled(ctx) })
	running.Wait()
}

// releaseThrottled lets the queue go on with raffles whose conflation interval ends.
func (r *relay) releaseThrottled(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-r.queue.throttle:
		case <-ctx.Done():
			return
		}
		if wait, ok := r.queue.release(); ok {
			timer.Reset(max(wait, minRelease))
		}
	}
}

// work sends one message after the other.
func (r *relay) work(ctx context.Context) {
	for ctx.Err() == nil {
		slot, msg, after := r.queue.next()
		if slot == nil {
			select {
			case <-r.queue.wake:
			case <-ctx.Done():
			}
			continue
		}
		last, err := r.send(ctx, msg, after)
		switch {
		case err == nil:
			r.queue.done(slot, last)
		case errors.Is(err, errTooSoon):
			r.queue.stepBack(slot, msg)
		case errors.Is(err, raffle.ErrNotCompared):
			r.pause(ctx)
			r.queue.retry(slot, msg)
		default:
			r.failed(ctx, err)
			r.queue.retry(slot, msg)
		}
	}
}

// failed reports a failure and pauses.
func (r *relay) failed(ctx context.Context, err error) {
	if ctx.Err() != nil {
		return // the service is stopping
	}
	r.cfg.OnFailed()
	if _, ok := errors.AsType[*ForeignStreamError](err); !ok { // which the reconciler reports
		r.log.Do(func() {
			r.cfg.Log.WarnContext(ctx, "odds can't be published: will try again", "error", err)
		})
	}
	r.pause(ctx)
}

func (*relay) pause(ctx context.Context) {
	select {
	case <-time.After(retryDelay):
	case <-ctx.Done():
	}
}

// publish makes m the raffle's last message, unless the last message has this version
// or a higher one of the same epoch, and returns the last message. after is the sequence that the last
// message is believed to have; 0 means that it is not known. A log is not published before
// the database was compared: it may contradict what viewers have seen of it.
func (r *relay) publish(ctx context.Context, m *message, after uint64) (Message, error) {
	if m.raffle.Log != nil && !r.cfg.Comparison.Done() {
		return Message{}, raffle.ErrNotCompared
	}
	for range maxConflicts {
		if after == 0 {
			last, err := r.stream.Last(ctx, m.raffle.ID)
			if err != nil {
				return Message{}, err
			}
			if last.Damaged {
				r.mender.reportDamage(ctx, m.raffle.ID, last)
			}
			if last.relate(&m.raffle) != behind {
				return last, r.contradicted(ctx, m, last)
			}
			if m.raffle.Log != nil && !sameLife(last.Epoch, m.raffle.Epoch) {
				// The raffle that had this id before may have had a log of the same name.
				if restarted, err := r.mender.restartLog(ctx, m.raffle.ID, last.Log); err != nil {
					return Message{}, err
				} else if restarted {
					return Message{}, raffle.ErrNotCompared // the version that follows has the other log
				}
			}
			if last.Seq != 0 && r.queue.tooSoon(m, last.Age) {
				return Message{}, errTooSoon
			}
			after = last.Seq
		}
		seq, err := r.stream.Append(ctx, m.raffle, after)
		if err == nil {
			r.queue.addAppended(m.raffle.ID, seq)
			r.cfg.OnPublished(m.raffle)
			return Message{Seq: seq, Epoch: m.raffle.Epoch, Version: m.raffle.Version}, nil
		}
		if !errors.Is(err, ErrConflict) {
			return Message{}, err
		}
		after = 0 // another process was faster: look at what it has published
	}
	return Message{}, ErrConflict
}

// contradicted is called with a last message that is not behind m. If its version is
// higher, another process has published a newer one, or the database has lost that
// version: the next checkpoint tells which. If the version is the same and the content
// is not, the database has lost commits and reached the same version again.
func (r *relay) contradicted(ctx context.Context, m *message, last Message) error {
	if last.Version > m.raffle.Version || last.relate(&m.raffle) == equal {
		return nil
	}
	err := r.mender.bump(ctx, m.raffle.ID, last)
	if _, ok := errors.AsType[*raffle.NotFoundError](err); ok {
		return nil // the next checkpoint finds that, too
	}
	return err
}
