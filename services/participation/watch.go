package participation

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

const (
	// probeInterval is how often the database is asked whether it takes writes, and
	// probeTimeout how long an answer may take. Together they bound how long a
	// connection to a server that was demoted is used for reads.
	probeInterval = time.Second
	probeTimeout  = time.Second
	// readyWithout is how long the service counts as ready without the database. A
	// restart or a failover of the database should not take the instances out of the
	// load balancer; an instance that alone is cut off should leave it.
	readyWithout = 5 * time.Second
)

// prober is the database, as databaseWatch sees it.
type prober interface {
	// Probe checks that the database answers and takes writes.
	Probe(ctx context.Context) error
	// Reset replaces all connections.
	Reset()
}

// databaseWatch asks the database once a second whether it answers and takes writes.
type databaseWatch struct {
	store prober
	log   *slog.Logger

	unavailable bool // whether it was, after the last probe

	// onProbed is called after each probe, with why the database is unavailable, or nil.
	onProbed func(unavailable error)

	mu       sync.Mutex
	answered time.Time // when it last did
	cause    error     // why it does not; nil if it does
}

// newDatabaseWatch returns a watch of a database that has not answered yet.
func newDatabaseWatch(store prober, log *slog.Logger) *databaseWatch {
	return &databaseWatch{store: store, log: log, cause: errNotProbed, onProbed: func(error) {}}
}

// run asks until ctx ends.
func (w *databaseWatch) run(ctx context.Context) {
	tick := time.NewTicker(probeInterval)
	defer tick.Stop()
	for {
		w.probe(ctx)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

func (w *databaseWatch) probe(ctx context.Context) {
	probeCtx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	err := w.store.Probe(probeCtx)
	if ctx.Err() != nil {
		return // the service is stopping
	}
	w.mu.Lock()
	before := w.cause
	w.cause = err
	if err == nil {
		w.answered = time.Now()
	}
	w.mu.Unlock()
	switch {
	case err != nil && before == nil:
		w.log.WarnContext(ctx, "the database is unavailable", "error", err)
	case err == nil && before != nil:
		w.log.InfoContext(ctx, "the database is available")
	}
	unavailable := w.ready()
	if unavailable != nil && !w.unavailable {
		w.store.Reset() // whoever has a connection would wait for it again
	}
	w.unavailable = unavailable != nil
	w.onProbed(unavailable)
}

// waits says why the database can't be used at the start.
func (w *databaseWatch) waits(cause error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cause = cause
}

// available says that the database can be used.
func (w *databaseWatch) available() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cause, w.answered = nil, time.Now()
}

// hasAnswered notes that the database has answered a call. One that is too busy for the
// probe's timeout is slow, and not unavailable; one that has refused the probe is.
func (w *databaseWatch) hasAnswered() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.cause == nil || errors.Is(w.cause, context.DeadlineExceeded) {
		w.answered = time.Now()
	}
}

// errNotProbed is the cause before the first answer.
var errNotProbed = errors.New("it has not answered yet")

// ready returns nil if the database has answered a probe or a call within the last seconds,
// or why it has not.
func (w *databaseWatch) ready() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.cause != nil && time.Since(w.answered) >= readyWithout {
		return fmt.Errorf("the database is unavailable: %w", w.cause)
	}
	return nil
}
