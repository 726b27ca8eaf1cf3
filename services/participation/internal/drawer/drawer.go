// Package drawer draws the raffles whose draw is due, and tells what anybody needs to
// check a draw. Any number of instances may draw at the same time: what is drawn is a pure
// function of committed rows, and one transaction, under the raffle's lock, stores it.
package drawer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/rafflecast/rafflecast/services/draw"
	"github.com/rafflecast/rafflecast/services/participation/internal/raffle"
)

// Store is the database. Its errors are those of package raffle, or the context's.
type Store interface {
	Get(ctx context.Context, id int64) (raffle.Raffle, error)
	// GetCompared is Get for a raffle whose log will be signed. It fails with
	// raffle.ErrNotCompared if the database was not compared with what was published.
	GetCompared(ctx context.Context, id int64) (raffle.Raffle, error)
	// DueDraws reads raffles whose draw is due, the longest overdue first.
	DueDraws(ctx context.Context) ([]raffle.Raffle, error)
	// ReadLog calls f with the records of a log from an index on, in order.
	ReadLog(ctx context.Context, raffleID, from int64, f func(index int64, record []byte) error) error
	// SaveDraw stores a drawing. It fails with *raffle.NoDrawError if the draw was made
	// meanwhile.
	SaveDraw(ctx context.Context, raffleID int64, res raffle.Result) (raffle.Raffle, error)
	Drawings(ctx context.Context, raffleID int64) ([]raffle.Drawing, error)
	DrawnTickets(ctx context.Context, raffleID int64, drawing int32, limit int) (tickets []int64, count int64, err error)
	ListWinners(ctx context.Context, raffleID int64, after raffle.WinnerKey, limit int) ([]raffle.Winner, error)
	Vacant(ctx context.Context, r *raffle.Raffle) (int64, error)
	// TicketState tells what became of a ticket that is an entry.
	TicketState(ctx context.Context, raffleID, ticket int64) (raffle.TicketState, error)
}

// Beacon fetches the signatures of a chain's rounds.
type Beacon interface {
	// Signature returns the verified signature of a round.
	Signature(ctx context.Context, round uint64) ([]byte, error)
}

// Config configures a Drawer.
type Config struct {
	Draws    *raffle.Draws     // nil: draws are off
	Beacons  map[string]Beacon // by the hash of the chain
	Verifier note.Verifiers    // of the checkpoints that this service has signed
	// VerifierKeys are the keys of Verifier, the current one first.
	VerifierKeys []string
	Log          *slog.Logger
	OnDrawn      func()
	// OnFailed is called for each draw that is due and can't be made now, with the reason.
	OnFailed func(reason string)
}

// Drawer draws raffles. Its methods are safe for concurrent use.
type Drawer struct {
	store Store
	cfg   Config
	busy  chan struct{} // holds a token while a log is replayed, which takes memory
	roots *rootCache
	tries map[int64]*attempts // of raffles whose draw has failed; only Run uses it
	due   atomic.Int64        // since when the longest overdue draw has been due, in Unix nanoseconds; 0: none is
}

// attempts are those to draw a raffle that have failed.
type attempts struct {
	wait time.Duration
	next time.Time
}

// New returns a drawer.
func New(store Store, cfg Config) *Drawer {
	d := &Drawer{store: store, cfg: cfg, busy: make(chan struct{}, 1), tries: make(map[int64]*attempts)}
	d.roots = &rootCache{store: store}
	return d
}

const (
	// interval is how late a raffle is drawn at most, if nothing fails.
	interval = 500 * time.Millisecond
	// passTimeout bounds the reading of what is due, drawTimeout one draw.
	passTimeout = 10 * time.Second
	drawTimeout = 10 * time.Minute
	// A draw that fails is tried again after firstWait, and then ever less often.
	firstWait = time.Second
	maxWait   = time.Minute
)

// BeaconError means that no relay has the round of a draw.
type BeaconError struct{ Cause error }

func (e *BeaconError) Error() string { return "no relay of the chain has delivered the round" }

func (e *BeaconError) Unwrap() error { return e.Cause }

// SignatureError means that a signature is not that of the draw's round.
type SignatureError struct{ Round int64 }

func (e *SignatureError) Error() string {
	return fmt.Sprintf("signature: is not that of round %d of the raffle's chain", e.Round)
}

// Run draws what is due until ctx ends. If draws are off, it tells what is due.
func (d *Drawer) Run(ctx context.Context) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			d.pass(ctx)
		case <-ctx.Done():
			return
		}
	}
}

func (d *Drawer) pass(ctx context.Context) {
	reading, cancel := context.WithTimeout(ctx, passTimeout)
	due, err := d.store.DueDraws(reading)
	cancel()
	if err != nil {
		return // the database is watched elsewhere
	}
	d.due.Store(0)
	if len(due) > 0 {
		d.due.Store(due[0].Log.DrawsAt.UnixNano())
	}
	still := make(map[int64]*attempts, len(due))
	for i := range due {
		id := due[i].ID
		a := d.tries[id]
		if a == nil {
			a = &attempts{}
		}
		if time.Now().Before(a.next) {
			still[id] = a
			continue
		}
		if !d.attempt(ctx, id, a) {
			still[id] = a
		}
	}
	d.tries = still
}

// Overdue returns for how long the longest overdue draw has been due, by the service's own
// clock; 0 if none was due when Run last looked.
func (d *Drawer) Overdue() time.Duration {
	since := d.due.Load()
	if since == 0 {
		return 0
	}
	return max(0, time.Since(time.Unix(0, since)))
}

// attempt draws one raffle, and reports whether it is drawn.
func (d *Drawer) attempt(ctx context.Context, raffleID int64, a *attempts) bool {
	ctx, cancel := context.WithTimeout(ctx, drawTimeout)
	defer cancel()
	_, err := d.Draw(ctx, raffleID, nil)
	if err == nil || ctx.Err() != nil || isNotDue(err) {
		return err == nil
	}
	a.wait = min(maxWait, max(firstWait, 2*a.wait))
	a.next = time.Now().Add(a.wait)
	if d.cfg.OnFailed != nil {
		d.cfg.OnFailed(Reason(err))
	}
	d.cfg.Log.ErrorContext(ctx, "a raffle's draw is due and can't be made: will try again",
		"raffle", raffleID, "error", err, "cause", errors.Unwrap(err), "after", a.wait)
	return false
}

// isNotDue reports whether a draw is not due by this instance's clock, though it is by the
// database's. It will be in a moment.
func isNotDue(err error) bool {
	_, ok := errors.AsType[*raffle.DrawNotDueError](err)
	return ok
}

// Reasons are the reasons for which a raffle can't be drawn, or closed with a draw ahead.
var Reasons = []string{"beacon_unavailable", "log_mismatch", "chain_unknown", "clock_skew", "draws_off", "not_compared", "store_unavailable"}

// Reason returns which of the reasons an error has.
func Reason(err error) string {
	var (
		beacon   *BeaconError
		mismatch *raffle.LogMismatchError
		unknown  *raffle.ChainUnknownError
		skew     *raffle.ClockSkewError
	)
	switch {
	case errors.As(err, &beacon):
		return "beacon_unavailable"
	case errors.As(err, &mismatch):
		return "log_mismatch"
	case errors.As(err, &unknown):
		return "chain_unknown"
	case errors.Is(err, raffle.ErrDrawsOff):
		return "draws_off"
	case errors.Is(err, raffle.ErrNotCompared):
		return "not_compared"
	case errors.As(err, &skew):
		return "clock_skew"
	}
	return "store_unavailable"
}

// Draw draws a raffle whose draw is due, and returns it. If no draw lies ahead since it is
// drawn, it returns it as it is. An empty signature is fetched. It fails with
// *raffle.NotFoundError, *raffle.NoLogError, *raffle.NoDrawError,
// *raffle.DrawNotDueError, *raffle.ChainUnknownError, *raffle.LogMismatchError,
// *SignatureError or *BeaconError.
func (d *Drawer) Draw(ctx context.Context, raffleID int64, signature []byte) (raffle.Raffle, error) {
	r, err := d.store.Get(ctx, raffleID)
	switch {
	case err != nil:
		return r, err
	case r.Log == nil:
		return r, &raffle.NoLogError{RaffleID: raffleID}
	case !r.Log.DrawAhead() && r.State == raffle.Drawn:
		return r, nil
	case !r.Log.DrawAhead():
		return r, &raffle.NoDrawError{RaffleID: raffleID}
	case d.cfg.Draws == nil:
		return r, raffle.ErrDrawsOff
	}
	chain, ok := d.cfg.Draws.Chains[r.Log.Chain]
	if !ok {
		return r, &raffle.ChainUnknownError{Chain: r.Log.Chain}
	}
	if signature, err = d.signature(ctx, &r, chain, signature); err != nil {
		return r, err
	}
	select {
	case d.busy <- struct{}{}:
		defer func() { <-d.busy }()
	case <-ctx.Done():
		return r, context.Cause(ctx)
	}
	if err := d.checkCheckpoint(ctx, &r); err != nil {
		return r, err
	}
	res, err := r.Draw(chain, signature, func(each func([]byte) error) error {
		return d.replay(ctx, &r, each)
	})
	if err != nil {
		return r, err
	}
	drawn, err := d.store.SaveDraw(ctx, raffleID, res)
	if _, again := errors.AsType[*raffle.NoDrawError](err); again {
		return d.store.Get(ctx, raffleID) // another instance has drawn it meanwhile
	}
	if err == nil {
		d.cfg.Log.InfoContext(ctx, "a raffle was drawn", "raffle", raffleID, "drawing", r.Log.Drawing, "tickets", len(res.Winners))
		if d.cfg.OnDrawn != nil {
			d.cfg.OnDrawn()
		}
	}
	return drawn, err
}

// replay calls each with the records of a raffle's log, as many as it had when it was
// read: another drawer may have appended its draw since.
func (d *Drawer) replay(ctx context.Context, r *raffle.Raffle, each func([]byte) error) error {
	err := d.store.ReadLog(ctx, r.ID, 0, func(index int64, record []byte) error {
		if index >= r.Log.Tree.Size {
			return errEnough
		}
		return each(record)
	})
	if errors.Is(err, errEnough) {
		return nil
	}
	return err
}

// signature returns the verified signature of the round of a draw.
func (d *Drawer) signature(ctx context.Context, r *raffle.Raffle, chain *draw.Chain, given []byte) ([]byte, error) {
	round := uint64(r.Log.Round)
	if len(given) > 0 {
		if chain.Verify(round, given) != nil {
			return nil, &SignatureError{Round: r.Log.Round}
		}
		return given, nil
	}
	if d.cfg.Draws.Now().Before(r.Log.DrawsAt) {
		return nil, &raffle.DrawNotDueError{RaffleID: r.ID, DrawsAt: r.Log.DrawsAt}
	}
	beacon, ok := d.cfg.Beacons[r.Log.Chain]
	if !ok {
		return nil, &BeaconError{Cause: errors.New("no relay is configured for this chain")}
	}
	signature, err := beacon.Signature(ctx, round)
	switch {
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case err != nil:
		return nil, &BeaconError{Cause: err}
	case chain.Verify(round, signature) != nil:
		return nil, &BeaconError{Cause: &SignatureError{Round: r.Log.Round}}
	}
	return signature, nil
}

// checkCheckpoint checks that the row of a raffle is what was signed when the round of
// its draw was fixed.
func (d *Drawer) checkCheckpoint(ctx context.Context, r *raffle.Raffle) error {
	drawings, err := d.store.Drawings(ctx, r.ID)
	if err != nil {
		return err
	}
	for _, drawing := range drawings {
		if drawing.Number != r.Log.Drawing {
			continue
		}
		n, err := note.Open([]byte(drawing.Checkpoint), d.cfg.Verifier)
		if err != nil {
			return &raffle.LogMismatchError{RaffleID: r.ID, Cause: fmt.Errorf("the signed checkpoint: %w", err)}
		}
		if n.Text != r.Log.Head().String() {
			return &raffle.LogMismatchError{RaffleID: r.ID, Cause: fmt.Errorf("the log is %q, and %q was signed", r.Log.Head(), n.Text)}
		}
		return nil
	}
	return &raffle.LogMismatchError{RaffleID: r.ID, Cause: errors.New("the signed checkpoint is missing")}
}
