package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"
)

// PageTokenKey returns the secret of this database that encrypts page tokens. It is
// made once, by a migration, so that all instances have the same one.
func (s *Store) PageTokenKey(ctx context.Context) ([]byte, error) {
	var key string
	err := readOn(ctx, s.pool, func(conn *pgx.Conn) error {
		return conn.QueryRow(ctx, `SELECT value FROM secrets WHERE name = 'page tokens'`, pgx.QueryExecModeExec).Scan(&key)
	})
	return []byte(key), err
}
