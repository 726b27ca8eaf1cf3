package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/rafflecast/rafflecast/services/participation/internal/raffle"
)

// sweepLimit bounds one sweep's transaction; the next sweep does the rest.
const sweepLimit = 1000

// Advance opens and closes the raffles whose time has come, and returns how
// many. Any number of instances may call it at once: a raffle that another one
// holds is left to it.
func (s *Store) Advance(ctx context.Context) (int, error) {
	var odds []raffle.Odds
	err := inTx(ctx, s.entries, func(tx pgx.Tx) error {
		odds = nil
		rows, _ := tx.Query(ctx, `SELECT `+columns+` FROM raffles
			WHERE NOT settled AND (state = $1 AND opens_at <= now() OR state IN ($1, $2) AND closes_at <= now())
			ORDER BY id LIMIT $3 FOR NO KEY UPDATE SKIP LOCKED`, raffle.Scheduled, raffle.Open, sweepLimit)
		due, err := pgx.CollectRows(rows, scanRaffle)
		if err != nil || len(due) == 0 {
			return err
		}
		now, err := clock(ctx, tx)
		if err != nil {
			return err
		}
		for _, r := range due {
			if !r.Advance(now) {
				continue
			}
			if err := save(ctx, tx, r); err != nil {
				return err
			}
			odds = append(odds, r.Odds())
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	s.committed(ctx, odds...)
	return len(odds), nil
}

// Unpublished returns the odds of raffles, at most 1,000, whose newest version
// is at least age old and not known to be published. Younger ones are on their
// way, or will be followed by a newer version soon.
func (s *Store) Unpublished(ctx context.Context, age time.Duration) ([]raffle.Odds, error) {
	rows, _ := s.entries.Query(ctx, `SELECT `+columns+` FROM raffles
		WHERE NOT settled AND published_version < version AND updated_at <= clock_timestamp() - $1::interval
		ORDER BY id LIMIT $2`, age, sweepLimit)
	raffles, err := pgx.CollectRows(rows, scanRaffle)
	odds := make([]raffle.Odds, len(raffles))
	for i := range raffles {
		odds[i] = raffles[i].Odds()
	}
	return odds, classify(err)
}

// Raise gives a raffle a version above this one, where it has none.
func (s *Store) Raise(ctx context.Context, raffleID, version int64) error {
	var odds []raffle.Odds
	err := inTx(ctx, s.entries, func(tx pgx.Tx) error {
		odds = nil
		r, err := lockRaffle(ctx, tx, raffleID)
		if err != nil || r.Version > version {
			return err
		}
		r.Version = version + 1
		if r.UpdatedAt, err = clock(ctx, tx); err != nil {
			return err
		}
		odds = append(odds, r.Odds())
		return save(ctx, tx, r)
	})
	if err == nil {
		s.committed(ctx, odds...)
	}
	return err
}

// MarkPublished notes which version of each raffle, by id, is in the stream. A
// raffle that a writer holds is skipped: the mark is a hint that saves work, and
// no writer shall wait for it.
func (s *Store) MarkPublished(ctx context.Context, versions map[int64]int64) error {
	if len(versions) == 0 {
		return nil
	}
	ids, published := make([]int64, 0, len(versions)), make([]int64, 0, len(versions))
	for id, version := range versions {
		ids, published = append(ids, id), append(published, version)
	}
	_, err := s.entries.Exec(ctx, `
		WITH free AS (
			SELECT id, p.version FROM raffles JOIN unnest($1::bigint[], $2::bigint[]) AS p(id, version) USING (id)
			WHERE published_version < p.version ORDER BY id FOR NO KEY UPDATE OF raffles SKIP LOCKED
		)
		UPDATE raffles r SET published_version = free.version, settled = r.state >= $3 AND free.version >= r.version
		FROM free WHERE r.id = free.id`, ids, published, raffle.Closed)
	return classify(err)
}
