package faults

import (
	"context"
	"errors"
	"math/rand/v2"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

const killClients = `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
	WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()`

func terminateBackends(ctx context.Context, s *system, _ *rand.Rand) (func(context.Context) error, error) {
	return nothing, s.database().exec(ctx, "rafflecast", killClients)
}

var (
	beginReadOnly = []string{`ALTER SYSTEM SET default_transaction_read_only = on`, `SELECT pg_reload_conf()`}
	endReadOnly   = []string{`SET transaction_read_only = off`, `ALTER SYSTEM RESET default_transaction_read_only`, `SELECT pg_reload_conf()`}
)

// readOnly has PostgreSQL refuse new transactions that write (25006).
func readOnly(ctx context.Context, s *system, _ *rand.Rand) (func(context.Context) error, error) {
	err := s.database().exec(ctx, "rafflecast", beginReadOnly...)
	return func(ctx context.Context) error { return s.database().exec(ctx, "rafflecast", endReadOnly...) }, err
}

// refuseConnections has PostgreSQL turn every login away (55000).
func refuseConnections(ctx context.Context, s *system, _ *rand.Rand) (func(context.Context) error, error) {
	err := s.database().exec(ctx, "postgres", `ALTER DATABASE rafflecast ALLOW_CONNECTIONS false`, killClients)
	return func(ctx context.Context) error {
		return s.database().exec(ctx, "postgres", `ALTER DATABASE rafflecast ALLOW_CONNECTIONS true`)
	}, err
}

// lockRows holds raffles' rows on a connection of its own.
func lockRows(ctx context.Context, s *system, r *rand.Rand) (func(context.Context) error, error) {
	conn, err := pgx.Connect(ctx, s.database().dsn("rafflecast"))
	if err != nil {
		return nil, err
	}
	if _, err := conn.Exec(ctx, `BEGIN`); err == nil {
		_, err = conn.Exec(ctx, `SELECT id FROM raffles WHERE id % 4 = $1 ORDER BY id FOR UPDATE`, r.IntN(4))
		if err != nil {
			_ = conn.Close(ctx)
			return nil, err
		}
	}
	return func(ctx context.Context) error { return conn.Close(ctx) }, nil
}

// stepClock starts PostgreSQL again with a clock that is some seconds ahead or behind,
// and once more at the end.
func stepClock(_ context.Context, s *system, r *rand.Rand) (func(context.Context) error, error) {
	if s.clock.library == "" {
		return nil, errors.New("there is no libfaketime (Debian: faketime)")
	}
	restart := func(offset time.Duration) error {
		s.clock.set(offset)
		p := s.database().process
		return errors.Join(p.end(syscall.SIGINT, 20*time.Second), p.start())
	}
	offset := time.Duration(1+r.IntN(10)) * time.Second
	if r.IntN(2) == 0 {
		offset = -offset
	}
	return func(context.Context) error { return restart(0) }, restart(offset)
}

// promote makes the standby the primary and leaves the old one as a server that
// only reads; new connections lead to the new one. It loses no commit, as a failover
// that an operator does.
func promote(ctx context.Context, s *system, _ *rand.Rand) (func(context.Context) error, error) {
	old, next := s.database(), s.replica()
	if err := eventually(ctx, 2*time.Second, "the standby follows", old.awaitStandby); err != nil {
		return nil, err
	}
	if err := old.exec(ctx, "rafflecast", beginReadOnly...); err != nil {
		return nil, err
	}
	err := eventually(ctx, 2*time.Second, "the standby has everything", old.awaitStandby)
	if err == nil {
		err = next.promote(ctx)
	}
	if err != nil {
		return func(ctx context.Context) error { return old.exec(ctx, "rafflecast", endReadOnly...) }, err
	}
	s.mu.Lock()
	s.primary, s.standby, s.promoted = next, old, true
	s.mu.Unlock()
	for _, l := range s.toPostgres {
		l.Retarget(next.address())
	}
	return nothing, nil
}

func killStandby(_ context.Context, s *system, _ *rand.Rand) (func(context.Context) error, error) {
	standby, err := s.follower()
	if err != nil {
		return nil, err
	}
	_ = standby.end(syscall.SIGKILL, 5*time.Second)
	return func(ctx context.Context) error {
		return errors.Join(standby.start(), s.database().awaitStandby(ctx))
	}, nil
}

func freezeStandby(_ context.Context, s *system, _ *rand.Rand) (func(context.Context) error, error) {
	standby, err := s.follower()
	if err != nil {
		return nil, err
	}
	standby.signal(syscall.SIGSTOP)
	return func(ctx context.Context) error {
		standby.signal(syscall.SIGCONT)
		return s.database().awaitStandby(ctx)
	}, nil
}
