package faults

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/rafflecast/rafflecast/services/rafflecast/localpg"
)

// database is a PostgreSQL server with its data directory.
type database struct {
	*process

	binaries string // directory of postgres, initdb and pg_basebackup
	dir      string
	port     int
	account  *syscall.Credential // who runs it; nil: this user
	clock    *clock
}

// MissingError says that a program which belongs to PostgreSQL is not installed.
type MissingError struct{ Program string }

func (e *MissingError) Error() string {
	return e.Program + " is not installed: it comes with a distribution's packages of PostgreSQL"
}

// findPostgres returns the directory of PostgreSQL's programs, and whom to run
// them as: PostgreSQL refuses to run as root.
func findPostgres(ctx context.Context, cache string) (dir string, account *syscall.Credential, err error) {
	found, err := localpg.Find(ctx, localpg.FindOptions{CacheDir: cache})
	if err != nil {
		return "", nil, err
	}
	for _, program := range []string{"pg_basebackup", "pg_dump", "psql"} {
		if _, err := exec.LookPath(filepath.Join(found.Dir, program)); err != nil {
			return "", nil, &MissingError{Program: program}
		}
	}
	if os.Geteuid() != 0 {
		return found.Dir, nil, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
		gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
		if err := errors.Join(err1, err2); err != nil {
			return "", nil, err
		}
		return found.Dir, &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
	}
	return "", nil, errors.New("there is no user postgres or nobody to run PostgreSQL as")
}

func (d *database) command(ctx context.Context, program string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, filepath.Join(d.binaries, program), args...) //nolint:gosec // PostgreSQL, as localpg found it
	cmd.Dir = filepath.Dir(d.dir)
	cmd.Env = []string{"LC_ALL=C", "PATH=" + os.Getenv("PATH")}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: d.account}
	return cmd
}

// newDatabase returns a server on dir that start starts. Its directory's parent
// belongs to the account.
func newDatabase(logs, name, binaries, dir string, port int, account *syscall.Credential, clock *clock) *database {
	d := &database{binaries: binaries, dir: dir, port: port, account: account, clock: clock}
	d.process = newProcess(logs, name, func() *exec.Cmd {
		cmd := d.command(context.Background(), "postgres", "-D", dir)
		cmd.Env = append(cmd.Env, clock.environment()...)
		return cmd
	})
	return d
}

const primarySettings = `
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
max_connections = 150
wal_level = replica
max_wal_senders = 10
wal_keep_size = '256MB'
wal_retrieve_retry_interval = '200ms'
hot_standby = on
shared_buffers = '64MB'
log_min_messages = warning
synchronous_standby_names = '*'
`

// initialize makes the data directory of a primary, which waits for its standby
// at each commit: a promoted standby then has every acknowledged entry.
func (d *database) initialize(ctx context.Context) error {
	out, err := d.command(ctx, "initdb", "-D", d.dir, "-U", "rafflecast", "-A", "trust", "--no-sync", "-E", "UTF8").CombinedOutput()
	if err != nil {
		return fmt.Errorf("initdb: %w: %s", err, out)
	}
	return d.configure(primarySettings + fmt.Sprintf("port = %d\n", d.port))
}

func (d *database) configure(settings string) error {
	f, err := os.OpenFile(filepath.Join(d.dir, "postgresql.auto.conf"), os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	_, err = f.WriteString(settings)
	return err
}

// clone makes the data directory of a standby of primary.
func (d *database) clone(ctx context.Context, primary *database) error {
	out, err := d.command(ctx, "pg_basebackup", "-D", d.dir, "-R", "-X", "stream", "-c", "fast", "--no-sync",
		"-d", primary.dsn("postgres")).CombinedOutput()
	if err != nil {
		return fmt.Errorf("pg_basebackup: %w: %s", err, out)
	}
	return d.configure(fmt.Sprintf("port = %d\nsynchronous_standby_names = ''\n", d.port))
}

// awaitStandby returns once a standby follows and has all that was committed.
func (d *database) awaitStandby(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, d.dsn("postgres"))
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	var follows bool
	err = conn.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_stat_replication WHERE state = 'streaming' AND flush_lsn >= pg_current_wal_lsn())`).Scan(&follows)
	if err == nil && !follows {
		err = errors.New("the standby does not follow yet")
	}
	return err
}

// promote makes a primary of a standby.
func (d *database) promote(ctx context.Context) error {
	return d.exec(ctx, "postgres", `SELECT pg_promote(true, 20)`)
}

func (d *database) dsn(name string) string {
	return fmt.Sprintf("postgres://rafflecast@127.0.0.1:%d/%s", d.port, name)
}

func (d *database) address() string { return "127.0.0.1:" + strconv.Itoa(d.port) }

// exec runs statements, each by itself, on a connection of its own that no link
// disturbs.
func (d *database) exec(ctx context.Context, name string, statements ...string) error {
	ctx, cancel := context.WithTimeout(ctx, 25*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, d.dsn(name))
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	for _, statement := range statements {
		if _, err := conn.Exec(ctx, statement); err != nil {
			return fmt.Errorf("%.60s: %w", strings.TrimSpace(statement), err)
		}
	}
	return nil
}

// awaitReady returns once the server answers.
func (d *database) awaitReady(ctx context.Context) error {
	var err error
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); <-time.After(50 * time.Millisecond) {
		if err = d.exec(ctx, "postgres", "SELECT 1"); err == nil {
			return nil
		}
		if !d.alive() {
			return fmt.Errorf("%s has ended", d.name)
		}
	}
	return fmt.Errorf("%s is not ready: %w", d.name, err)
}
