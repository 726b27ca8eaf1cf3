//go:build unix

package bench

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/rafflecast/rafflecast/services/rafflecast/load"
)

// naiveCallers is the number of concurrent callers, each with a connection of its own.
const naiveCallers = 64

// naive places entries with a transaction for each: lock the raffle, read the
// member's entries, insert, update the counters.
type naive struct {
	pool    *pgxpool.Pool
	raffle  int64
	plan    *load.Plan
	next    atomic.Int64
	entered atomic.Int64
}

var (
	errNotOpen = errors.New("the raffle is not open")
	errLimit   = errors.New("the member has all entries that the raffle allows")
)

func newNaive(ctx context.Context, pool *pgxpool.Pool) (*naive, error) {
	n := &naive{pool: pool}
	err := pool.QueryRow(ctx, `INSERT INTO naive_raffles (title, winners, max_entries_per_member, state, created_at, updated_at)
		VALUES ('Load', 1, 1, 2, now(), now()) RETURNING id`).
		Scan(&n.raffle)
	n.plan = &load.Plan{Raffles: []int64{n.raffle}, MaxEntries: 1, Seed: rand.Uint64()}
	return n, err
}

// run places entries for d.
func (n *naive) run(ctx context.Context, d time.Duration) (load.Result, error) {
	start := time.Now()
	end := start.Add(d)
	latencies := make([]*hdrhistogram.Histogram, naiveCallers)
	errs := make([]error, naiveCallers)
	var callers sync.WaitGroup
	for i := range naiveCallers {
		latencies[i] = hdrhistogram.New(1, int64(time.Hour/time.Microsecond), 3)
		callers.Go(func() {
			for now := time.Now(); now.Before(end) && errs[i] == nil; now = time.Now() {
				if errs[i] = n.enter(ctx, n.next.Add(1)-1); errs[i] == nil {
					n.entered.Add(1)
					_ = latencies[i].RecordValue(time.Since(now).Microseconds()) // fails only above an hour
				}
			}
		})
	}
	callers.Wait()
	for _, other := range latencies[1:] {
		latencies[0].Merge(other)
	}
	result := load.Result{Acknowledged: n.entered.Load(), Elapsed: time.Since(start), Latency: latencies[0]}
	return result, errors.Join(errors.Join(errs...), n.check(ctx))
}

// enter places entry i.
func (n *naive) enter(ctx context.Context, i int64) error {
	member, request := n.plan.MemberID(i), n.plan.RequestID(i)
	return pgx.BeginFunc(ctx, n.pool, func(tx pgx.Tx) error {
		var open bool
		var most, has, last int32
		var repeat bool
		err := tx.QueryRow(ctx, `SELECT state = 2 AND (closes_at IS NULL OR closes_at > clock_timestamp()), max_entries_per_member
			FROM naive_raffles WHERE id = $1 FOR UPDATE`, n.raffle).
			Scan(&open, &most)
		if err != nil {
			return err
		}
		err = tx.QueryRow(ctx, `SELECT count(*) FILTER (WHERE withdrawn_at IS NULL), coalesce(max(ordinal), 0), coalesce(bool_or(request_id = $3), false)
			FROM naive_entries WHERE raffle_id = $1 AND member_id = $2`, n.raffle, member, request).
			Scan(&has, &last, &repeat)
		switch {
		case err != nil || repeat:
			return err
		case !open:
			return errNotOpen
		case has >= most:
			return errLimit
		}
		if _, err := tx.Exec(ctx, `INSERT INTO naive_entries (raffle_id, member_id, ordinal, request_id, created_at)
			VALUES ($1, $2, $3, $4, clock_timestamp())`, n.raffle, member, last+1, request); err != nil {
			return err
		}
		newMember := 0
		if has == 0 {
			newMember = 1
		}
		_, err = tx.Exec(
			ctx,
			`UPDATE naive_raffles SET entries = entries + 1, members = members + $2, version = version + 1, updated_at = clock_timestamp()
			WHERE id = $1`,
			n.raffle,
			newMember,
		)
		return err
	})
}

// check compares the counter and the rows with the number of entries placed.
func (n *naive) check(ctx context.Context) error {
	var counted, rows int64
	err := n.pool.QueryRow(ctx, `SELECT entries, (SELECT count(*) FROM naive_entries e WHERE e.raffle_id = r.id)
		FROM naive_raffles r WHERE id = $1`, n.raffle).Scan(&counted, &rows)
	if err == nil && (counted != n.entered.Load() || rows != counted) {
		err = fmt.Errorf("%w: %d entered, %d counted, %d rows", errNotKept, n.entered.Load(), counted, rows)
	}
	return err
}
