//go:build unix

package bench

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/rafflecast/rafflecast/services/rafflecast/load"
)

// copyRows writes the first rows of a plan by one COPY in one transaction.
func copyRows(ctx context.Context, pool *pgxpool.Pool, plan *load.Plan, rows int64) (load.Result, error) {
	start := time.Now()
	source := &planRows{plan: plan, rows: rows, createdAt: start, values: make([]any, 5)}
	written, err := pool.CopyFrom(ctx, pgx.Identifier{"copied_entries"},
		[]string{"raffle_id", "member_id", "ordinal", "request_id", "created_at"}, source)
	if err == nil && written != rows {
		err = fmt.Errorf("%w: %d of %d rows copied", errNotKept, written, rows)
	}
	return load.Result{Acknowledged: written, Elapsed: time.Since(start)}, err
}

// planRows makes one row after another, all in the same slice. The plan has one
// raffle, and one entry per member.
type planRows struct {
	plan      *load.Plan
	rows      int64
	next      int64
	createdAt time.Time
	values    []any
}

// Next implements pgx.CopyFromSource.
func (p *planRows) Next() bool { p.next++; return p.next <= p.rows }

// Values implements pgx.CopyFromSource.
func (p *planRows) Values() ([]any, error) {
	n := p.next - 1
	p.values[0], p.values[1], p.values[2] = p.plan.Raffles[0], p.plan.MemberID(n), int32(1)
	p.values[3], p.values[4] = p.plan.RequestID(n), p.createdAt
	return p.values, nil
}

// Err implements pgx.CopyFromSource.
func (p *planRows) Err() error { return nil }
