package postgres

import (
	"context"

	"github.com/rafflecast/rafflecast/services/participation/internal/raffle"
)

// OpenRaffles counts the raffles that are open, by the database's clock. ClosingSoon are
// those of them that close within the hour.
type OpenRaffles struct{ Open, ClosingSoon int }

// CountOpenRaffles counts the raffles that are open. It reads the raffles that are not
// settled, by their index.
func (s *Store) CountOpenRaffles(ctx context.Context) (c OpenRaffles, err error) {
	err = s.pool.QueryRow(ctx, `SELECT count(*), count(*) FILTER (WHERE closes_at <= now() + interval '1 hour')
		FROM raffles WHERE NOT settled AND state = $1`, raffle.Open).Scan(&c.Open, &c.ClosingSoon)
	return c, err
}
