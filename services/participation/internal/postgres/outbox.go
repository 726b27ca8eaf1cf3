package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/rafflecast/rafflecast/services/participation/internal/raffle"
)

// Unpublished reads raffles, at most 1,000, whose newest version is at least this
// old and is not marked as published. Younger versions are most likely on their way to
// the stream, or a newer one will replace them soon. Raffles that can't be read are left
// out.
func (s *Store) Unpublished(ctx context.Context, age time.Duration) (list []raffle.Raffle, err error) {
	err = read(ctx, func() error {
		rows, _ := s.writePool.Query(ctx, `SELECT `+columns+` FROM raffles
			WHERE NOT settled AND published_version <> version AND updated_at <= clock_timestamp() - $1::interval
			ORDER BY id LIMIT $2`, age, passLimit)
		list, _, err = s.collect(rows)
		return err
	})
	return list, err
}

// checkpoint marks what the rows agree with, and returns the ids of the other raffles.
const checkpoint = `
	WITH stream AS (
		SELECT * FROM unnest($1::bigint[], $2::text[], $3::bigint[]) AS s(id, epoch, version)
	), free AS (
		SELECT r.id, s.version FROM raffles r JOIN stream s USING (id)
		WHERE s.version <= r.version AND s.epoch IN (r.epoch, '')
			AND (r.published_version < s.version OR r.published_version > r.version)
		ORDER BY r.id FOR NO KEY UPDATE OF r SKIP LOCKED
	), marked AS (
		UPDATE raffles r SET published_version = free.version, settled = (r.state > $4 OR r.state = $4 AND r.draws_at IS NULL) AND free.version >= r.version
		FROM free WHERE r.id = free.id
	)
	SELECT s.id FROM stream s LEFT JOIN raffles r USING (id)
	WHERE r.id IS NULL OR s.epoch NOT IN (r.epoch, '') OR s.version > r.version`

// Checkpoint marks versions, by raffle id, as published. Raffles that a writer holds
// are left out: the mark only saves work, and no writer should wait for it.
//
// Checkpoint returns the raffles that the stream has and the database has not: not at
// all, not in this epoch, or not up to this version. These are not marked.
func (s *Store) Checkpoint(ctx context.Context, published map[int64]raffle.Published) (drifted []int64, err error) {
	if len(published) == 0 {
		return nil, nil
	}
	n := len(published)
	ids, epochs, versions := make([]int64, 0, n), make([]string, 0, n), make([]int64, 0, n)
	for id, p := range published {
		ids, epochs, versions = append(ids, id), append(epochs, p.Epoch), append(versions, p.Version)
	}
	rows, _ := s.writePool.Query(ctx, checkpoint, ids, epochs, versions, raffle.Closed)
	drifted, err = pgx.CollectRows(rows, pgx.RowTo[int64])
	return drifted, classify(err)
}

// BumpVersion gives a raffle a version above this one if needed reports so for its
// row, which is locked meanwhile, and reports whether it did. It fails with
// *raffle.NotFoundError.
func (s *Store) BumpVersion(ctx context.Context, raffleID, above int64, needed func(raffle.Raffle) bool) (bool, error) {
	var changed []raffle.Raffle
	err := inTx(ctx, s.writePool, func(tx pgx.Tx) error {
		changed = nil
		r, err := s.lockRaffle(ctx, tx, raffleID)
		if err != nil || !needed(r) {
			return err
		}
		r.Version = above + 1
		if r.UpdatedAt, err = clock(ctx, tx); err != nil {
			return err
		}
		changed = append(changed, r)
		// What is settled is not published again after a crash.
		_, err = tx.Exec(ctx, `UPDATE raffles SET version = $2, updated_at = $3, settled = false WHERE id = $1`,
			r.ID, r.Version, r.UpdatedAt)
		return err
	})
	if err != nil {
		return false, err
	}
	s.queue.Enqueue(ctx, changed...)
	return len(changed) > 0, nil
}
