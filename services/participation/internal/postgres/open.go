package postgres

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/exaring/otelpgx"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"go.opentelemetry.io/otel/metric/noop"

	"github.com/rafflecast/rafflecast/services/internal/socket"
	"github.com/rafflecast/rafflecast/services/internal/telemetry"
)

// Open returns a pool of at most conns connections. It does not connect yet, and
// fails only if url is neither a PostgreSQL URL nor a keyword/value string. Statements
// of a traced call become spans.
func Open(ctx context.Context, url string, conns int, traces *telemetry.Traces) (*pgxpool.Pool, error) {
	cfg, err := pgxpool.ParseConfig(url)
	if err != nil {
		// The error of pgx quotes the string, which holds a password.
		return nil, errors.New("the database URL is neither postgres://user:password@host:port/database nor host=… user=… dbname=…")
	}
	cfg.MaxConns = int32(conns)
	noticeLostServers(&cfg.ConnConfig.Config)
	if traces.On() {
		// The tracer leaves the arguments out, which is necessary: they name members.
		cfg.ConnConfig.Tracer = otelpgx.NewTracer(otelpgx.WithTracerProvider(traces.Provider()),
			otelpgx.WithMeterProvider(noop.NewMeterProvider()), otelpgx.WithDisableAcquireTracer())
	}
	return newPool(ctx, cfg)
}

// Bounds of a server that vanishes without closing its connections, as with its machine.
// pgx does not know libpq's tcp_user_timeout and keepalives: in a URL they become
// settings of the session, and the server applies tcp_user_timeout and tcp_keepalives_*
// to its own end of the connection.
const (
	connectTimeout = 5 * time.Second  // of each address, unless the URL has connect_timeout
	userTimeout    = 10 * time.Second // until what was sent must be acknowledged
	// While a statement runs nothing is sent: the kernel asks whether the server is there.
	keepaliveIdle     = 5 * time.Second
	keepaliveInterval = 2 * time.Second
	keepaliveCount    = 3
)

// noticeLostServers bounds how long connections wait for a server that has vanished.
func noticeLostServers(cfg *pgconn.Config) {
	cfg.ConnectTimeout = cmp.Or(cfg.ConnectTimeout, connectTimeout)
	dialer := &net.Dialer{
		Timeout:         cfg.ConnectTimeout,
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: keepaliveIdle, Interval: keepaliveInterval, Count: keepaliveCount},
		Control: func(network, _ string, c syscall.RawConn) error {
			if network == "unix" {
				return nil
			}
			return socket.SetUserTimeout(c, userTimeout)
		},
	}
	cfg.DialFunc = dialer.DialContext
}

// pingTimeout bounds the check of a connection that was idle for a while.
const pingTimeout = 2 * time.Second

// newPool returns a pool that keeps no connection to a server that does not take
// writes, and none whose prepared statements have become useless.
func newPool(ctx context.Context, cfg *pgxpool.Config) (*pgxpool.Pool, error) {
	var pool atomic.Pointer[pgxpool.Pool]
	reset := func() {
		if p := pool.Load(); p != nil {
			p.Reset()
		}
	}
	cfg.PingTimeout = pingTimeout
	keeps := cfg.ConnConfig.OnPgError
	cfg.ConnConfig.OnPgError = func(conn *pgconn.PgConn, err *pgconn.PgError) bool {
		if endsConnection(err) {
			// What is wrong with this connection is wrong with the others, most likely.
			reset()
			return false
		}
		return keeps(conn, err)
	}
	cfg.AfterConnect = func(_ context.Context, conn *pgx.Conn) error {
		if isReadOnly(conn) {
			return errReadOnly
		}
		return nil
	}
	cfg.PrepareConn = func(_ context.Context, conn *pgx.Conn) (bool, error) {
		if isReadOnly(conn) {
			reset()
			return false, nil
		}
		return true, nil
	}
	p, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("open database pool: %w", err)
	}
	pool.Store(p)
	return p, nil
}

// errReadOnly means that the server is a standby, or a primary that was demoted.
var errReadOnly = errors.New("the database server does not take writes")

// isReadOnly reports whether the server has said that it does not take writes. It says
// so when the connection is made, and again, before the end of a statement, when that
// has changed. It costs nothing. PgBouncer keeps it to itself: behind it, Probe notices.
// https://www.postgresql.org/docs/current/libpq-status.html#LIBPQ-PQPARAMETERSTATUS
func isReadOnly(conn *pgx.Conn) bool {
	return conn.PgConn().ParameterStatus("in_hot_standby") == "on" ||
		conn.PgConn().ParameterStatus("default_transaction_read_only") == "on"
}

// endsConnection reports whether an error means that the connection, and most likely
// every other one of its pool, can't be used any more.
func endsConnection(err *pgconn.PgError) bool {
	switch err.Code {
	case "25006": // read only: a standby, or a primary that was demoted
		return true
	case "57P01", "57P02", "57P03": // the server stops or starts
		return true
	}
	return isStale(err)
}

// isStale reports whether a statement can't be executed because it was prepared before
// the schema was changed, or on another connection of PgBouncer. On a new connection it
// can.
func isStale(err *pgconn.PgError) bool {
	return err.Code == "0A000" && err.Routine == "RevalidateCachedQuery" || // a result of another type
		err.Code == "26000" || err.Code == "42P05" // no such prepared statement, or it exists already
}

// PostgreSQL's error codes for a table, a column and a function that do not exist.
const (
	undefinedTable    = "42P01"
	undefinedColumn   = "42703"
	undefinedFunction = "42883"
)

// ErrNotMigrated means that the database lacks tables, columns or functions that this version needs.
var ErrNotMigrated = errors.New("the database is not migrated: run `participation migrate`, or start with --migrate")

// Check checks that the database answers and has the schema. It fails with
// ErrNotMigrated or raffle.ErrUnavailable.
func (s *Store) Check(ctx context.Context) error {
	_, err := s.pool.Exec(ctx, `SELECT `+columns+`, published_version, settled,
		(SELECT content FROM raffle_requests LIMIT 1), (SELECT ticks FROM database_identity),
		(SELECT id FROM audit_events LIMIT 1), 'lock_next(bigint, bigint, text)'::regprocedure FROM raffles, secrets LIMIT 0`, pgx.QueryExecModeExec)
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok && slices.Contains([]string{undefinedTable, undefinedColumn, undefinedFunction}, pg.Code) {
		return ErrNotMigrated
	}
	return classify(err)
}
