package load

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// readOnly is a connection to the service's database that only reads.
type readOnly struct{ conn *pgx.Conn }

// checkDatabase tells before the load begins of a URL that is wrong. The connection
// is not kept: the database may be restarted under the load.
func checkDatabase(ctx context.Context, url string) error {
	d, err := openDatabase(ctx, url)
	d.close(ctx)
	return err
}

// openDatabase connects. An empty URL means no database.
func openDatabase(ctx context.Context, url string) (*readOnly, error) {
	if url == "" {
		return nil, nil //nolint:nilnil // no database is a database that verifies nothing
	}
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		// pgx quotes the URL without its password.
		return nil, fmt.Errorf("database (--database-url): %w", err)
	}
	return &readOnly{conn}, nil
}

func (d *readOnly) close(ctx context.Context) {
	if d != nil {
		_ = d.conn.Close(ctx)
	}
}

// verifyLater opens the database and verifies. It gives a database that is on its
// way back after a failure some time.
func (r *run) verifyLater(ctx context.Context, url string) (*findings, error) {
	deadline := time.Now().Add(time.Minute)
	for {
		d, err := openDatabase(ctx, url)
		if err == nil {
			defer d.close(ctx)
			return r.verify(ctx, d)
		}
		if time.Now().After(deadline) || !sleep(ctx, time.Second) {
			return nil, err
		}
	}
}

// verify compares the database, as of one moment, with what was answered. It
// returns nil findings where there is no database.
func (r *run) verify(ctx context.Context, d *readOnly) (*findings, error) {
	if d == nil {
		return nil, nil //nolint:nilnil // not verified: no finding, no failure
	}
	var c *check
	err := pgx.BeginTxFunc(ctx, d.conn, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) (err error) {
		if c, err = r.newCheck(ctx, tx); err != nil {
			return err
		}
		return c.readEntries(ctx, tx)
	})
	if err != nil {
		return nil, fmt.Errorf("verify: %w", err)
	}
	return c.finish(), nil
}

// standing is a raffle as the database has it, and what its rows add up to.
type standing struct {
	index              int // in the plan
	limit              int32
	opens, closes      *time.Time
	entries, members   int64 // the counters
	counted, countedBy int64 // the rows, and their members
}

// check gathers the findings.
type check struct {
	*run
	found   findings
	raffles map[int64]*standing
	// entries of each member in each raffle, by member number times the number of
	// raffles plus the raffle's index; a ledger of its own, for its chunks.
	entries Ledger
}

func (r *run) newCheck(ctx context.Context, tx pgx.Tx) (*check, error) {
	c := &check{run: r, raffles: make(map[int64]*standing)}
	for i, id := range r.plan.Raffles {
		c.raffles[id] = &standing{index: i}
	}
	rows, _ := tx.Query(ctx, `SELECT id, max_entries_per_member, opens_at, closes_at, entries, members
		FROM raffles WHERE id = ANY($1)`, r.plan.Raffles)
	var id int64
	var read standing
	_, err := pgx.ForEachRow(rows, []any{&id, &read.limit, &read.opens, &read.closes, &read.entries, &read.members}, func() error {
		read.index = c.raffles[id].index
		*c.raffles[id] = read
		read = standing{}
		return nil
	})
	return c, err
}

// row is an entry as the database has it.
type row struct {
	raffle    int64
	member    string
	ordinal   int32
	request   *[16]byte
	created   time.Time
	withdrawn bool
}

func (c *check) readEntries(ctx context.Context, tx pgx.Tx) error {
	rows, _ := tx.Query(ctx, `SELECT raffle_id, member_id, ordinal, request_id, created_at, withdrawn_at IS NOT NULL
		FROM entries WHERE raffle_id = ANY($1)`, c.plan.Raffles)
	var e row
	_, err := pgx.ForEachRow(rows, []any{&e.raffle, &e.member, &e.ordinal, &e.request, &e.created, &e.withdrawn}, func() error {
		if c.raffles[e.raffle] == nil {
			return errors.New("a row of another raffle")
		}
		c.read(&e)
		return nil
	})
	return err
}

// read takes one row into account.
func (c *check) read(e *row) {
	c.found.rows++
	s := c.raffles[e.raffle]
	if s.opens != nil && e.created.Before(*s.opens) || s.closes != nil && !e.created.Before(*s.closes) {
		c.found.untimely++
	}
	n, ours := int64(0), false
	if e.request != nil {
		n, ours = c.plan.Number(*e.request)
	}
	ours = ours && n < c.schedule.next.Load()
	if !ours {
		c.found.strangers++
		if !e.withdrawn {
			s.counted++
		}
		return
	}
	c.match(n, e)
	if e.withdrawn {
		return
	}
	s.counted++
	raffle, member := c.plan.target(n)
	switch c.entries.at(member*int64(len(c.plan.Raffles)) + int64(raffle)).Add(1) {
	case 1:
		s.countedBy++
	case uint32(s.limit) + 1:
		c.found.above++
	}
}

// match compares a row with what is known of its request.
func (c *check) match(n int64, e *row) {
	word := c.ledger.at(n)
	old := word.Or(flagStored)
	raffle, member := c.plan.target(n)
	switch {
	case old&flagStored != 0:
		c.found.duplicates++
	case old&flagSent == 0:
		c.found.strangers++
	case old&ordinalMask == 0 && old&flagRefused != 0:
		c.found.unwanted++
	case old&ordinalMask != 0 && old&ordinalMask != uint32(e.ordinal),
		e.raffle != c.plan.Raffles[raffle], e.member != c.plan.MemberID(member):
		c.found.altered++
	}
}

// finish adds what shows only after the last row.
func (c *check) finish() *findings {
	c.ledger.each(func(_ int64, word uint32) {
		if word&ordinalMask != 0 && word&flagStored == 0 {
			c.found.missing++
		}
		if word&flagDoubled != 0 {
			c.found.contradicted++
		}
	})
	for _, s := range c.raffles {
		if s.entries != s.counted || s.members != s.countedBy {
			c.found.miscounted++
		}
	}
	return &c.found
}
