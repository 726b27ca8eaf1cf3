package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/rafflecast/rafflecast/services/participation/internal/raffle"
)

// Unpublished reads raffles, at most 1,000, whose newest version is at least this
// old and is not marked as published. Younger versions are most likely on their way to
// the stream, or a newer one will replace them soon.
func (s *Store) Unpublished(ctx context.Context, age time.Duration) (list []raffle.Raffle, err error) {
	err = read(ctx, func() error {
		rows, _ := s.writePool.Query(ctx, `SELECT `+columns+` FROM raffles
			WHERE NOT settled AND published_version < version AND updated_at <= clock_timestamp() - $1::interval
			ORDER BY id LIMIT $2`, age, passLimit)
		list, err = pgx.CollectRows(rows, scanRaffle)
		return err
	})
	return list, err
}

// Checkpoint marks versions, by raffle id, as published. Raffles that a writer holds
// are left out: the mark only saves work, and no writer should wait for it.
func (s *Store) Checkpoint(ctx context.Context, published map[int64]int64) error {
	if len(published) == 0 {
		return nil
	}
	ids, versions := make([]int64, 0, len(published)), make([]int64, 0, len(published))
	for id, version := range published {
		ids, versions = append(ids, id), append(versions, version)
	}
	_, err := s.writePool.Exec(ctx, `
		WITH free AS (
			SELECT id, p.version FROM raffles JOIN unnest($1::bigint[], $2::bigint[]) AS p(id, version) USING (id)
			WHERE published_version < p.version ORDER BY id FOR NO KEY UPDATE OF raffles SKIP LOCKED
		)
		UPDATE raffles r SET published_version = free.version, settled = r.state >= $3 AND free.version >= r.version
		FROM free WHERE r.id = free.id`, ids, versions, raffle.Closed)
	return classify(err)
}

// BumpVersion gives a raffle a version above this one, unless it has one already. It
// fails with *raffle.NotFoundError.
func (s *Store) BumpVersion(ctx context.Context, raffleID, above int64) error {
	var changed []raffle.Raffle
	err := inTx(ctx, s.writePool, func(tx pgx.Tx) error {
		changed = nil
		r, err := lockRaffle(ctx, tx, raffleID)
		if err != nil || r.Version > above {
			return err
		}
		r.Version = above + 1
		if r.UpdatedAt, err = clock(ctx, tx); err != nil {
			return err
		}
		changed = append(changed, r)
		return save(ctx, tx, r)
	})
	if err != nil {
		return err
	}
	s.queue.Enqueue(ctx, changed...)
	return nil
}
