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

// isRetryable reports whether a retry is safe and may help at once. It is safe after a
// statement failed, because PostgreSQL then rolls back, the commit included. It does
// not help after a wait for a lock, nor if the server refuses the login.
func isRetryable(err error) bool {
	pg, isPg := errors.AsType[*pgconn.PgError](err)
	if isPg && (pg.Code == "40001" || pg.Code == "40P01") {
		return true
	}
	_, safe := errors.AsType[*unwrittenError](err)
	if !safe && (!isPg || pg.SeverityUnlocalized != "ERROR") {
		return false
	}
	if isPg && (pg.Code == lockNotAvailable || isLoginRefusal(pg)) {
		return false
	}
	return isUnavailable(err)
}

// lockNotAvailable is PostgreSQL's error code for a lock that was not got in time.
const lockNotAvailable = "55P03"

// isLockTimeout reports whether err means that a lock was not got in time.
func isLockTimeout(err error) bool {
	pg, ok := errors.AsType[*pgconn.PgError](err)
	return ok && pg.Code == lockNotAvailable
}

// isLoginRefusal reports whether a server refuses to let us in: because of the role, the
// password, pg_hba.conf, or the database.
func isLoginRefusal(err *pgconn.PgError) bool {
	return strings.HasPrefix(err.Code, "28") || err.Code == "3D000" || err.Code == "55000" || err.Code == "42501"
}

// classify returns err as raffle.ErrUnavailable if it means that the database is
// unavailable, as raffle.ErrLocked if another transaction held a lock for too long, and
// without the mark of unwrittenError.
func classify(err error) error {
	if unwritten, ok := errors.AsType[*unwrittenError](err); ok {
		err = unwritten.error
	}
	switch {
	case isConnecting(err): // for longer than connecting may take, it may be: that is no deadline of a caller
		return fmt.Errorf("%w: %w", raffle.ErrUnavailable, err)
	case err == nil, errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	case isLockTimeout(err):
		return fmt.Errorf("%w: %w", raffle.ErrLocked, err)
	case isUnavailable(err):
		return fmt.Errorf("%w: %w", raffle.ErrUnavailable, err)
	}
	return err
}

// isConnecting reports whether err means that no connection could be made, whatever the
// server has said.
func isConnecting(err error) bool {
	_, connecting := errors.AsType[*pgconn.ConnectError](err)
	return connecting
}

// isUnavailable reports whether err means that the database cannot be reached, lets
// nobody in, or cannot write at present.
func isUnavailable(err error) bool {
	if isConnecting(err) {
		return true
	}
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		// https://www.postgresql.org/docs/current/errcodes-appendix.html:
		// connection, authorization, rollback, resources, operator, system.
		for _, class := range []string{"08", "28", "40", "53", "57", "58"} {
			if strings.HasPrefix(pg.Code, class) {
				return true
			}
		}
		// Read only: this is a standby, or a primary that was demoted. Idle in a
		// transaction for too long: this process was frozen. No such database.
		return pg.Code == "25006" || pg.Code == "25P03" || pg.Code == "3D000" || isStale(pg)
	}
	return errors.Is(err, errReadOnly) || isConnectionLost(err)
}

// isConnectionLost reports whether err means that a connection has ended, other than by
// what the server has said, or since the caller's time was up.
func isConnectionLost(err error) bool {
	if _, said := errors.AsType[*pgconn.PgError](err); said || errors.Is(err, context.DeadlineExceeded) {
		return false
	}
	_, network := errors.AsType[net.Error](err)
	return network || pgconn.SafeToRetry(err) ||
		errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) || errors.Is(err, pgconn.ErrConnClosed)
}
