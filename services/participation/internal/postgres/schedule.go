package postgres

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"github.com/rafflecast/rafflecast/services/participation/internal/raffle"
)

// passLimit bounds how many raffles one pass of the scheduler, or of the recovery of
// unpublished versions, takes on. The next pass takes the rest.
const passLimit = 1000

// ApplySchedule opens and closes the raffles whose time has come, and returns how
// many, and those that can't be closed, since their draw can't be fixed now. Any number
// of instances may call it at the same time: a raffle that another transaction has locked
// is left to the next pass. Raffles that can't be read stay as they are.
func (s *Store) ApplySchedule(ctx context.Context) (int, []*raffle.ClosingError, error) {
	var changed []raffle.Raffle
	var refused []*raffle.ClosingError
	err := inTx(ctx, s.writePool, func(tx pgx.Tx) error {
		changed, refused = nil, nil
		check := s.Comparison.Check()
		rows, _ := tx.Query(ctx, `SELECT `+columns+` FROM raffles
			WHERE NOT settled AND (state = $1 AND opens_at <= now() OR state IN ($1, $2) AND closes_at <= now())
			ORDER BY id LIMIT $3 FOR NO KEY UPDATE SKIP LOCKED`, raffle.Scheduled, raffle.Open, passLimit)
		due, _, err := s.collect(rows)
		if err != nil || len(due) == 0 {
			return err
		}
		notCompared := s.compared(ctx, tx, check)
		if notCompared != nil && !errors.Is(notCompared, raffle.ErrNotCompared) {
			return notCompared
		}
		now, err := clock(ctx, tx)
		if err != nil {
			return err
		}
		for _, r := range due {
			due, err := false, notCompared
			if r.Log == nil || r.StateAt(now) != raffle.Closed || notCompared == nil {
				due, err = r.ApplySchedule(now, s.draws)
			}
			if err != nil {
				refused = append(refused, &raffle.ClosingError{RaffleID: r.ID, ClosesAt: r.ClosesAt, Cause: err})
			}
			if !due || err != nil {
				continue
			}
			if err := save(ctx, tx, r); err != nil {
				return err
			}
			changed = append(changed, r)
		}
		return nil
	})
	if err != nil {
		return 0, nil, err
	}
	s.queue.Enqueue(ctx, changed...)
	return len(changed), refused, nil
}
