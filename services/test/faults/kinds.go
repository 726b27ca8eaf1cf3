package faults

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/rafflecast/rafflecast/services/internal/oddsstream"
)

// kind is one way to disturb a system.
type kind struct {
	name string
	// disturb begins the disturbance, and returns what ends it. The schedule waits
	// between the two.
	disturb func(ctx context.Context, s *system, r *rand.Rand) (end func(context.Context) error, err error)
	weight  int
	// once is set for a kind that a run can stand only once.
	once bool
}

// nothing ends a disturbance that is over by itself.
func nothing(context.Context) error { return nil }

// kill returns a kind that ends a process of a group by a signal and starts it
// again.
func kill(name string, signal syscall.Signal, group func(*system) []*process, weight int) kind {
	return kind{name: name, weight: weight, disturb: func(_ context.Context, s *system, r *rand.Rand) (func(context.Context) error, error) {
		p := one(r, group(s))
		_ = p.end(signal, 20*time.Second)
		return func(context.Context) error { return p.start() }, nil
	}}
}

// freeze returns a kind that stops a process of a group for a while.
func freeze(name string, group func(*system) []*process, weight int) kind {
	return kind{name: name, weight: weight, disturb: func(_ context.Context, s *system, r *rand.Rand) (func(context.Context) error, error) {
		p := one(r, group(s))
		p.signal(syscall.SIGSTOP)
		return func(context.Context) error { p.signal(syscall.SIGCONT); return nil }, nil
	}}
}

// link returns a kind that disturbs a link of a group.
func link(name string, group func(*system) []*Link, disturb func(*Link, *rand.Rand), weight int) kind {
	return kind{name: name, weight: weight, disturb: func(_ context.Context, s *system, r *rand.Rand) (func(context.Context) error, error) {
		l := one(r, group(s))
		disturb(l, r)
		return func(context.Context) error { l.Heal(); return nil }, nil
	}}
}

// statement returns a kind that runs SQL on the primary, and other SQL at its end.
func statement(name string, begin, end []string, weight int) kind {
	return kind{name: name, weight: weight, disturb: func(ctx context.Context, s *system, _ *rand.Rand) (func(context.Context) error, error) {
		if err := s.primary.exec(ctx, "rafflecast", begin...); err != nil {
			return nil, err
		}
		return func(ctx context.Context) error {
			if len(end) == 0 {
				return nil
			}
			return s.primary.exec(ctx, "rafflecast", end...)
		}, nil
	}}
}

func one[T any](r *rand.Rand, list []T) T { return list[r.IntN(len(list))] }

func postgresOf(s *system) []*process { return []*process{s.primary.process} }
func natsOf(s *system) []*process     { return s.nats[:] }

func participationOf(s *system) []*process { return s.participations[:] }
func gatewayOf(s *system) []*process       { return s.gateways[:] }

func toPostgres(s *system) []*Link { return s.toPostgres[:] }

func toNATS(from, until int) func(*system) []*Link {
	return func(s *system) []*Link {
		var all []*Link
		for _, service := range s.natsLinks[from:until] {
			all = append(all, service[:]...)
		}
		return all
	}
}

func cut(l *Link, _ *rand.Rand)        { l.Cut() }
func muteServer(l *Link, _ *rand.Rand) { l.Mute(true, false) }
func muteClient(l *Link, _ *rand.Rand) { l.Mute(false, true) }
func muteBoth(l *Link, _ *rand.Rand)   { l.Mute(true, true) }
func slow(l *Link, r *rand.Rand)       { l.Delay(time.Duration(20+r.IntN(180)) * time.Millisecond) }

// Kinds returns every kind of fault.
func kinds() []kind {
	participationNATS, gatewayNATS := toNATS(0, participations), toNATS(participations, participations+gateways)
	return []kind{
		kill("participation killed", syscall.SIGKILL, participationOf, 3),
		kill("participation terminated", syscall.SIGTERM, participationOf, 2),
		freeze("participation frozen", participationOf, 2),
		kill("gateway killed", syscall.SIGKILL, gatewayOf, 3),
		kill("gateway terminated", syscall.SIGTERM, gatewayOf, 2),
		freeze("gateway frozen", gatewayOf, 2),
		kill("NATS server killed", syscall.SIGKILL, natsOf, 3),
		kill("NATS server terminated", syscall.SIGTERM, natsOf, 1),
		freeze("NATS server frozen", natsOf, 2),
		{name: "NATS leader killed", weight: 2, disturb: killLeader},
		kill("PostgreSQL killed", syscall.SIGQUIT, postgresOf, 2),
		kill("PostgreSQL restarted", syscall.SIGINT, postgresOf, 1),
		freeze("PostgreSQL frozen", postgresOf, 1),
		{name: "backends terminated", weight: 2, disturb: terminateBackends},
		statement("PostgreSQL read only", []string{`ALTER SYSTEM SET default_transaction_read_only = on`, `SELECT pg_reload_conf()`},
			[]string{`SET transaction_read_only = off`, `ALTER SYSTEM RESET default_transaction_read_only`, `SELECT pg_reload_conf()`}, 1),
		{name: "database refuses connections", weight: 1, disturb: refuseConnections},
		{name: "rows locked by a stranger", weight: 2, disturb: lockRows},
		link("participation to PostgreSQL cut", toPostgres, cut, 2),
		link("participation to PostgreSQL mute, requests", toPostgres, muteServer, 1),
		link("participation to PostgreSQL mute, answers", toPostgres, muteClient, 1),
		link("participation to PostgreSQL slow", toPostgres, slow, 1),
		link("participation to NATS cut", participationNATS, cut, 2),
		link("participation to NATS mute, requests", participationNATS, muteServer, 2),
		link("participation to NATS mute, answers", participationNATS, muteClient, 1),
		link("participation to NATS slow", participationNATS, slow, 1),
		link("gateway to NATS cut", gatewayNATS, cut, 2),
		link("gateway to NATS mute, requests", gatewayNATS, muteServer, 1),
		link("gateway to NATS mute, answers", gatewayNATS, muteClient, 2),
		link("gateway to NATS mute", gatewayNATS, muteBoth, 2),
		link("gateway to NATS slow", gatewayNATS, slow, 1),
		{name: "stream purged", weight: 2, disturb: purgeStream},
		{name: "subject purged", weight: 1, disturb: purgeSubject},
		{name: "stream deleted", weight: 1, disturb: deleteStream},
		{name: "NATS store full", weight: 1, disturb: fullStream},
		{name: "clock stepped", weight: 2, disturb: stepClock},
		{name: "standby promoted, old primary read only", weight: 1, disturb: promote, once: true},
	}
}

const killClients = `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
	WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()`

func terminateBackends(ctx context.Context, s *system, _ *rand.Rand) (func(context.Context) error, error) {
	return nothing, s.primary.exec(ctx, "rafflecast", killClients)
}

func killLeader(ctx context.Context, s *system, _ *rand.Rand) (func(context.Context) error, error) {
	js, err := s.stream()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	stream, err := js.Stream(ctx, oddsstream.Name)
	if err != nil {
		return nil, err
	}
	cluster := stream.CachedInfo().Cluster
	if cluster == nil {
		return nil, errors.New("the stream has no cluster")
	}
	i := slices.Index([]string{"n0", "n1", "n2"}, cluster.Leader)
	if i < 0 {
		return nil, errors.New("the stream has no leader")
	}
	_ = s.nats[i].end(syscall.SIGKILL, time.Second)
	return func(context.Context) error { return s.nats[i].start() }, nil
}

// refuseConnections has PostgreSQL turn every login away (55000).
func refuseConnections(ctx context.Context, s *system, _ *rand.Rand) (func(context.Context) error, error) {
	err := s.primary.exec(ctx, "postgres", `ALTER DATABASE rafflecast ALLOW_CONNECTIONS false`, killClients)
	return func(ctx context.Context) error {
		return s.primary.exec(ctx, "postgres", `ALTER DATABASE rafflecast ALLOW_CONNECTIONS true`)
	}, err
}

// lockRows holds raffles' rows on a connection of its own.
func lockRows(ctx context.Context, s *system, r *rand.Rand) (func(context.Context) error, error) {
	conn, err := pgx.Connect(ctx, s.primary.dsn("rafflecast"))
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

func purgeStream(ctx context.Context, s *system, _ *rand.Rand) (func(context.Context) error, error) {
	js, err := s.stream()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	stream, err := js.Stream(ctx, oddsstream.Name)
	if err != nil {
		return nil, err
	}
	return nothing, stream.Purge(ctx)
}

func purgeSubject(ctx context.Context, s *system, r *rand.Rand) (func(context.Context) error, error) {
	js, err := s.stream()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	stream, err := js.Stream(ctx, oddsstream.Name)
	if err != nil {
		return nil, err
	}
	return nothing, stream.Purge(ctx, jetstream.WithPurgeSubject(oddsstream.Subject(int64(1+r.IntN(raffles)))))
}

func deleteStream(ctx context.Context, s *system, _ *rand.Rand) (func(context.Context) error, error) {
	js, err := s.stream()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	return nothing, js.DeleteStream(ctx, oddsstream.Name)
}

// fullStream leaves the stream no room: a server answers as it does when its disk
// is full.
func fullStream(ctx context.Context, s *system, _ *rand.Rand) (func(context.Context) error, error) {
	set := func(ctx context.Context, bytes int64) error {
		js, err := s.stream()
		if err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
		defer cancel()
		stream, err := js.Stream(ctx, oddsstream.Name)
		if err != nil {
			return err
		}
		cfg := stream.CachedInfo().Config
		cfg.MaxBytes, cfg.Discard = bytes, jetstream.DiscardNew
		if bytes < 0 {
			cfg.Discard = jetstream.DiscardOld
		}
		_, err = js.UpdateStream(ctx, cfg)
		return err
	}
	end := func(ctx context.Context) error {
		return eventually(ctx, 15*time.Second, "the stream has room again", func(ctx context.Context) error { return set(ctx, -1) })
	}
	return end, set(ctx, 1000)
}

// stepClock steps PostgreSQL's clock by some seconds, and back at the end.
func stepClock(_ context.Context, s *system, r *rand.Rand) (func(context.Context) error, error) {
	if s.clock.library == "" {
		return nil, errors.New("there is no libfaketime (Debian: faketime)")
	}
	offset := time.Duration(r.IntN(20)-10) * time.Second
	return func(context.Context) error { return s.clock.set(0) }, s.clock.set(offset)
}

// promote makes the standby the primary and leaves the old one as a server that
// only reads; new connections lead to the new one.
func promote(ctx context.Context, s *system, _ *rand.Rand) (func(context.Context) error, error) {
	if err := s.primary.exec(ctx, "rafflecast", `ALTER SYSTEM SET default_transaction_read_only = on`, `SELECT pg_reload_conf()`); err != nil {
		return nil, err
	}
	if err := s.standby.promote(ctx); err != nil {
		return nil, err
	}
	s.primary, s.standby = s.standby, s.primary
	for _, l := range s.toPostgres {
		l.Retarget(s.primary.address())
	}
	return nothing, nil
}

// restore takes the database back to an older dump, while everything runs but
// participation, and forgets what was acknowledged after it.
func restore(ctx context.Context, s *system, c *callers) error {
	// The record first: what was acknowledged before the dump began is in it.
	kept := make(map[string]entry)
	c.mu.Lock()
	for id, e := range c.entries {
		kept[id] = *e
	}
	c.mu.Unlock()
	dump, err := s.primary.command(ctx, "pg_dump", s.primary.dsn("rafflecast")).Output()
	if err != nil {
		return fmt.Errorf("pg_dump: %w", err)
	}
	pause(ctx, 2*time.Second) // what is acknowledged now, the restore takes away
	for _, p := range s.participations {
		_ = p.end(syscall.SIGTERM, 10*time.Second)
	}
	if err := s.primary.exec(ctx, "postgres", `DROP DATABASE rafflecast WITH (FORCE)`, `CREATE DATABASE rafflecast`); err != nil {
		return err
	}
	load := s.primary.command(ctx, "psql", "-q", "-v", "ON_ERROR_STOP=1", s.primary.dsn("rafflecast"))
	load.Stdin = bytes.NewReader(dump)
	if text, err := load.CombinedOutput(); err != nil {
		return fmt.Errorf("restore: %w: %s", err, text)
	}
	c.restored(kept)
	for _, p := range s.participations {
		if err := p.start(); err != nil {
			return err
		}
	}
	return nil
}
