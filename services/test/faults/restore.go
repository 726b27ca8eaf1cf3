package faults

import (
	"bytes"
	"context"
	"fmt"
	"syscall"
	"time"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
)

// restore takes the database back to an older dump while callers enter and clients
// watch, and forgets what was acknowledged after it. Participation is stopped
// meanwhile, or finds another state of its database from one transaction to the next.
func (r *run) restore(ctx context.Context, t *thrower, stopped bool) error {
	if err := r.system.heal(); err != nil {
		return err
	}
	if err := r.system.awaitReady(ctx, 60*time.Second); err != nil {
		return fmt.Errorf("before a restore: %w", err)
	}
	name := "restored to an older dump"
	if stopped {
		name += ", participation stopped"
	}
	t.note(name, nil)
	r.findings.Faults++

	s, c := r.system, r.callers
	database := s.database()
	// The record first: what was acknowledged before the dump began is in it.
	kept := c.record()
	dump, err := database.command(ctx, "pg_dump", database.dsn("rafflecast")).Output()
	if err != nil {
		return fmt.Errorf("pg_dump: %w", err)
	}
	if err := database.exec(ctx, "postgres", `CREATE DATABASE restored`); err != nil {
		return err
	}
	load := database.command(ctx, "psql", "-q", "-v", "ON_ERROR_STOP=1", database.dsn("restored"))
	load.Stdin = bytes.NewReader(dump)
	if text, err := load.CombinedOutput(); err != nil {
		return fmt.Errorf("restore: %w: %s", err, text)
	}
	// What happens now, the restore takes away.
	if _, err := c.createRaffle(ctx, &rafflev1.CreateRaffleRequest{Title: "A raffle that no dump holds", Winners: 1, MaxEntriesPerMember: 1}); err != nil {
		return err
	}
	pause(ctx, time.Second)
	if stopped {
		for _, p := range s.participations {
			_ = p.end(syscall.SIGTERM, 20*time.Second)
		}
	}
	if err := database.exec(ctx, "postgres",
		`ALTER DATABASE rafflecast ALLOW_CONNECTIONS false`, killClients,
		`ALTER DATABASE rafflecast RENAME TO lost`,
	); err != nil {
		return err
	}
	pause(ctx, 300*time.Millisecond) // for answers that are on their way
	c.restored(kept)
	if err := database.exec(ctx, "postgres", `ALTER DATABASE restored RENAME TO rafflecast`, `DROP DATABASE lost WITH (FORCE)`); err != nil {
		return err
	}
	for _, p := range s.participations {
		if err := p.start(); err != nil {
			return err
		}
	}
	return nil
}
