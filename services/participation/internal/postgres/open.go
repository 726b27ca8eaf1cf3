package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/exaring/otelpgx"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"go.opentelemetry.io/otel/metric/noop"

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
	if traces.On() {
		// The tracer leaves the arguments out, which is necessary: they name members.
		cfg.ConnConfig.Tracer = otelpgx.NewTracer(otelpgx.WithTracerProvider(traces.Provider()),
			otelpgx.WithMeterProvider(noop.NewMeterProvider()), otelpgx.WithDisableAcquireTracer())
	}
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("open database pool: %w", err)
	}
	return pool, nil
}

// undefinedTable is PostgreSQL's error code for a table that does not exist.
const undefinedTable = "42P01"

// ErrNotMigrated means that the database lacks tables that this version needs.
var ErrNotMigrated = errors.New("the database is not migrated: run `participation migrate`, or start with --migrate")

// Check checks that the database answers and has the schema. It fails with
// ErrNotMigrated or raffle.ErrUnavailable.
func (s *Store) Check(ctx context.Context) error {
	_, err := s.pool.Exec(ctx, `SELECT `+columns+`, published_version, settled FROM raffles, secrets LIMIT 0`, pgx.QueryExecModeExec)
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok && pg.Code == undefinedTable {
		return ErrNotMigrated
	}
	return classify(err)
}
