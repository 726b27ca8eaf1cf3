package outbox

import (
	"context"
	"fmt"
	"time"

	"github.com/rafflecast/rafflecast/services/participation/internal/raffle"
)

// Database is the truth that the stream is compared with.
type Database interface {
	// List reads at most limit raffles with ids above after, by ascending id;
	// state 0 means any.
	List(ctx context.Context, after int64, limit int, state raffle.State) ([]raffle.Raffle, error)
	// Raise gives a raffle a version above this one, where it has none.
	Raise(ctx context.Context, raffleID, version int64) error
}

const (
	// checkInterval is how often the stream's state is compared with what was
	// acknowledged: one request.
	checkInterval = time.Second
	// compareInterval is how often all of the stream is compared with the
	// database without a cause; 10,000 raffles take 0.1 s.
	compareInterval = 10 * time.Minute
	// compareTimeout bounds one comparison.
	compareTimeout = 5 * time.Minute
	// comparePage is how many raffles are read from the database at once.
	comparePage = 1000
)

// Repair makes the stream and keeps it true to the database until ctx ends. The
// two are compared raffle by raffle at the start, with every value from
// reconnected, when the stream turns out to be another one or shorter than what
// was acknowledged, and now and then. JetStream acknowledges before it syncs, so a
// power cut may lose messages, or bring old ones back.
func (p *Publisher) Repair(ctx context.Context, db Database, reconnected <-chan struct{}) {
	check := time.NewTicker(checkInterval)
	defer check.Stop()
	compare := time.NewTicker(compareInterval)
	defer compare.Stop()
	cause := "start"
	for {
		if cause != "" {
			if err := p.reconcile(ctx, db); err == nil {
				p.cfg.Log.Info("the stream of odds was compared with the database", "cause", cause)
				cause = ""
			} else if ctx.Err() == nil {
				p.cfg.Log.Warn("the stream of odds can't be compared with the database: will try again", "cause", cause, "error", err)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-reconnected:
			cause = "reconnected"
		case <-compare.C:
			cause = "interval"
		case <-check.C:
			if cause == "" {
				cause = p.suspicion(ctx)
			}
		}
	}
}

// suspicion returns why the stream may lack what was acknowledged, or "".
func (p *Publisher) suspicion(ctx context.Context) string {
	p.mu.Lock()
	known := p.known
	p.mu.Unlock()
	now, err := p.stream.State(ctx)
	switch {
	case err != nil:
		return "" // NATS is away; it will reconnect
	case !now.Created.Equal(known.Created):
		return "another stream"
	case now.Last < known.Last:
		return "shorter stream"
	}
	return ""
}

// reconcile publishes what the stream lacks. Where it is ahead of the database,
// that was restored or has lost commits: then the database's version is raised,
// since viewers would refuse a lower one.
func (p *Publisher) reconcile(ctx context.Context, db Database) error {
	ctx, cancel := context.WithTimeout(ctx, compareTimeout)
	defer cancel()
	if err := p.stream.Ensure(ctx); err != nil {
		return err
	}
	state, err := p.stream.State(ctx)
	if err != nil {
		return err
	}
	// The stream first: a version in it was in the database before.
	versions, err := p.stream.Versions(ctx)
	if err != nil {
		return err
	}
	for after := int64(0); ; {
		raffles, err := db.List(ctx, after, comparePage, 0)
		if err != nil {
			return fmt.Errorf("read raffles: %w", err)
		}
		for i := range raffles {
			if err := p.compare(ctx, db, &raffles[i], versions[raffles[i].ID]); err != nil {
				return err
			}
		}
		if len(raffles) < comparePage {
			break
		}
		after = raffles[len(raffles)-1].ID
	}
	p.mu.Lock()
	p.known = state
	p.mu.Unlock()
	return nil
}

func (p *Publisher) compare(ctx context.Context, db Database, r *raffle.Raffle, published int64) error {
	switch {
	case published > r.Version:
		p.cfg.Log.Warn("the stream is ahead of the database, which was restored or has lost commits: raising the raffle's version",
			"raffle", r.ID, "database", r.Version, "stream", published)
		if err := db.Raise(ctx, r.ID, published); err != nil {
			return fmt.Errorf("raise version: %w", err)
		}
		p.cfg.Raised()
	case published < r.Version:
		p.publishAgain(r.Odds())
	}
	return nil
}

// publishAgain publishes odds though they may have been acknowledged before.
func (p *Publisher) publishAgain(o raffle.Odds) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s := p.slots[o.ID]; s != nil && !s.busy {
		s.version, s.tail = 0, 0
	}
	p.take(&odds{Odds: o})
}
