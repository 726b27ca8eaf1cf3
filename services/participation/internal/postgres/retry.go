package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/rafflecast/rafflecast/services/participation/internal/raffle"
)

// maxAttempts bounds retries on serialization failure, deadlock, and errors of the
// connection. Our transactions lock rows in id order and cannot deadlock with each
// other; other writers can, and a distributed database may ask for a retry at any time.
const maxAttempts = 10

// retry runs a whole transaction until it succeeds, or fails in a way that a retry
// cannot help or that is not safe to retry.
func retry(ctx context.Context, transaction func() error) error {
	for attempt := 1; ; attempt++ {
		err := transaction()
		if err == nil {
			return nil
		}
		if attempt == maxAttempts || !isRetryable(err) {
			return classify(err)
		}
		pause := time.Duration(rand.Int64N(int64(attempt) * int64(5*time.Millisecond)))
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// unwrittenError wraps an error that came before the commit, so that nothing can
// have been written.
type unwrittenError struct{ error }

func (e *unwrittenError) Unwrap() error { return e.error }

// isRetryable reports whether err is a serialization failure, a deadlock, or an
// unavailable database before anything was written.
func isRetryable(err error) bool {
	if _, ok := errors.AsType[*unwrittenError](err); ok && isUnavailable(err) {
		return true
	}
	pg, ok := errors.AsType[*pgconn.PgError](err)
	return ok && (pg.Code == "40001" || pg.Code == "40P01")
}

// classify returns err as raffle.ErrUnavailable if it means that the database is
// unavailable, and without the mark of unwrittenError.
func classify(err error) error {
	if unwritten, ok := errors.AsType[*unwrittenError](err); ok {
		err = unwritten.error
	}
	switch {
	case err == nil, errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	case isUnavailable(err):
		return fmt.Errorf("%w: %w", raffle.ErrUnavailable, err)
	}
	return err
}

// isUnavailable reports whether err means that the database cannot be reached or
// cannot write at present.
func isUnavailable(err error) bool {
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		// https://www.postgresql.org/docs/current/errcodes-appendix.html:
		// connection, rollback, resources, operator, system.
		for _, class := range []string{"08", "40", "53", "57", "58"} {
			if strings.HasPrefix(pg.Code, class) {
				return true
			}
		}
		// Read only: this is a standby, or a primary that was demoted. Idle in a
		// transaction for too long: this process was frozen.
		return pg.Code == "25006" || pg.Code == "25P03"
	}
	_, network := errors.AsType[net.Error](err)
	_, connecting := errors.AsType[*pgconn.ConnectError](err)
	return network || connecting || pgconn.SafeToRetry(err) ||
		errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) || errors.Is(err, pgconn.ErrConnClosed)
}
