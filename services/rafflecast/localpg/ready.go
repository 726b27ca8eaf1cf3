//go:build unix

package localpg

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// dsn is a URL rather than key=value, since both pgx and libpq take it and it survives a shell with one pair of
// quotes. A space must be %20: libpq does not read + as one.
func (s *Server) dsn(database string) string {
	host := strings.ReplaceAll(url.QueryEscape(s.place.socket), "+", "%20")
	return fmt.Sprintf("postgres:///%s?host=%s&port=%s&user=%s&sslmode=disable", database, host, port, s.cfg.User)
}

// awaitReady returns when the database accepts connections. It asks every few milliseconds: that is what a start of
// about 100 ms is waiting for.
func (s *Server) awaitReady(ctx context.Context) error {
	for delay := 2 * time.Millisecond; ; delay = min(delay*5/4, 50*time.Millisecond) {
		err := s.ensureDatabase(ctx)
		if err == nil || !comingUp(err) {
			return err
		}
		select {
		case <-s.done:
			return fmt.Errorf("postgres ended: %w", s.exit)
		case <-ctx.Done():
			return fmt.Errorf("%w; last answer: %s", context.Cause(ctx), oneLine(err.Error()))
		case <-time.After(delay):
		}
	}
}

// comingUp reports whether err may go away by itself: nobody answers yet, or the server says that it is starting.
func comingUp(err error) bool {
	pg, ok := errors.AsType[*pgconn.PgError](err)
	return !ok || pg.Code == "57P03" // cannot_connect_now
}

// ensureDatabase connects once, and creates the database if it does not exist.
func (s *Server) ensureDatabase(ctx context.Context) error {
	err := connect(ctx, s.url, "")
	if pg, ok := errors.AsType[*pgconn.PgError](err); !ok || pg.Code != "3D000" { // invalid_catalog_name
		return err
	}
	// The name is a plain one, see Config.validate. Quoted, since it may be a key word.
	return connect(ctx, s.dsn("postgres"), fmt.Sprintf(`CREATE DATABASE "%s"`, s.cfg.Database))
}

// connect opens a connection, executes sql if there is any, and closes it.
func connect(ctx context.Context, dsn, sql string) error {
	conn, err := pgconn.Connect(ctx, dsn)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }()
	if sql == "" {
		return nil
	}
	return conn.Exec(ctx, sql).Close()
}
