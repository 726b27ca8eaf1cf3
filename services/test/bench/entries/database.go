//go:build unix

package bench

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/rafflecast/rafflecast/services/rafflecast/localpg"
)

// postgresSettings are the same for every workload. Nothing is traded for safety; the
// sizes keep checkpoints out of the turns, each of which follows one.
var postgresSettings = map[string]string{
	"fsync":              "on",
	"synchronous_commit": "on",
	"full_page_writes":   "on",
	"shared_buffers":     "1GB",
	"min_wal_size":       "4GB",
	"max_wal_size":       "16GB",
	"checkpoint_timeout": "1h",
	"max_connections":    "200",
}

// database is the PostgreSQL that all workloads write to.
type database struct {
	server *localpg.Server
	pool   *pgxpool.Pool
}

func startDatabase(ctx context.Context, cfg *Config, dir string) (*database, error) {
	binaries, err := localpg.Find(ctx, localpg.FindOptions{CacheDir: cfg.Cache})
	if err != nil {
		return nil, err
	}
	dir = filepath.Join(dir, "postgres")
	server, err := localpg.Start(ctx, localpg.Config{Binaries: binaries, Dir: dir, Settings: postgresSettings})
	if err != nil {
		return nil, err
	}
	d := &database{server: server}
	if d.pool, err = openPool(ctx, server.URL()); err != nil {
		d.stop(ctx)
		return nil, err
	}
	return d, nil
}

func openPool(ctx context.Context, url string) (*pgxpool.Pool, error) {
	cfg, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, err
	}
	cfg.MaxConns = naiveCallers
	return pgxpool.NewWithConfig(ctx, cfg)
}

func (d *database) stop(ctx context.Context) {
	if d.pool != nil {
		d.pool.Close()
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	_ = d.server.Stop(ctx) // its files are removed next
}

// checkpoint writes out what the last workload left, so that the next one does not pay for it.
func (d *database) checkpoint(ctx context.Context) error {
	_, err := d.pool.Exec(ctx, "CHECKPOINT")
	return err
}

// makeTables makes tables like the service's for the workloads that do without it.
// The service does not know them.
func (d *database) makeTables(ctx context.Context) error {
	_, err := d.pool.Exec(ctx, `
		CREATE TABLE naive_raffles (LIKE raffles INCLUDING ALL);
		CREATE TABLE naive_entries (LIKE entries INCLUDING ALL);
		CREATE TABLE copied_entries (LIKE entries INCLUDING ALL)`)
	return err
}

// describe returns the server's version and the settings that affect writes.
func (d *database) describe(ctx context.Context) (string, error) {
	rows, _ := d.pool.Query(ctx, `SELECT format('%s=%s', name, current_setting(name)) FROM pg_settings
		WHERE name IN ('server_version', 'fsync', 'synchronous_commit', 'full_page_writes', 'shared_buffers', 'max_wal_size', 'wal_sync_method')
		ORDER BY name <> 'server_version', name`)
	all, err := pgx.CollectRows(rows, pgx.RowTo[string])
	return fmt.Sprint(all), err
}

// errNotKept says that a workload's rows are not the ones that it should have written.
var errNotKept = errors.New("the rows differ from what was acknowledged")
