package load

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/rafflecast/rafflecast/services/rafflecast/internal/ctxtime"
)

// checkDatabase reports before the load begins that the database cannot be reached.
// The connection is not kept, since the database may be restarted under the load.
func checkDatabase(ctx context.Context, url string) error {
	if url == "" {
		return nil
	}
	conn, err := openDatabase(ctx, url)
	if err != nil {
		return err
	}
	return conn.Close(ctx)
}

func openDatabase(ctx context.Context, url string) (*pgx.Conn, error) {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return nil, fmt.Errorf("database (--database-url): %w", err) // pgx leaves the password out
	}
	return conn, nil
}

// Verify compares the service's database with the answers. It returns an error if
// they differ.
func (g *Generator) Verify(ctx context.Context, databaseURL string) error {
	found, err := g.verifyAt(ctx, databaseURL)
	if err != nil {
		return err
	}
	return found.err()
}

// verifyEventually is verifyAt that waits up to a minute for a database that is
// restarting after a failure.
func (g *Generator) verifyEventually(ctx context.Context, url string) (*findings, error) {
	deadline := time.Now().Add(time.Minute)
	for {
		err := checkDatabase(ctx, url)
		if err == nil {
			return g.verifyAt(ctx, url)
		}
		if time.Now().After(deadline) || !ctxtime.Sleep(ctx, time.Second) {
			return nil, err
		}
	}
}

func (g *Generator) verifyAt(ctx context.Context, url string) (*findings, error) {
	conn, err := openDatabase(ctx, url)
	if err != nil {
		return nil, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	return g.verify(ctx, conn)
}

// verify compares a snapshot of the database with the answers. It only reads.
func (g *Generator) verify(ctx context.Context, conn *pgx.Conn) (*findings, error) {
	v := &verification{g: g, raffles: make(map[int64]*storedRaffle)}
	snapshot := pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}
	err := pgx.BeginTxFunc(ctx, conn, snapshot, func(tx pgx.Tx) error {
		if err := v.readRaffles(ctx, tx); err != nil {
			return err
		}
		return v.readEntries(ctx, tx)
	})
	if err != nil {
		return nil, fmt.Errorf("verify: %w", err)
	}
	v.finish()
	return &v.found, nil
}

// verification collects the findings.
type verification struct {
	g       *Generator
	found   findings
	raffles map[int64]*storedRaffle
	// entries counts the entries of each member in each raffle, at the member's number
	// times the number of raffles plus the raffle's index.
	entries sparseArray
}

// storedRaffle is a raffle in the database.
type storedRaffle struct {
	index            int // in the plan
	limit            int32
	opensAt          *time.Time
	closesAt         *time.Time
	entries, members int64 // its counters
	rows, rowMembers int64 // its entries that are not withdrawn, and their members
}

func (v *verification) readRaffles(ctx context.Context, tx pgx.Tx) error {
	for i, id := range v.g.plan.Raffles {
		v.raffles[id] = &storedRaffle{index: i}
	}
	rows, _ := tx.Query(ctx, `SELECT id, max_entries_per_member, opens_at, closes_at, entries, members
		FROM raffles WHERE id = ANY($1)`, v.g.plan.Raffles) // ForEachRow returns the error
	var id int64
	var read storedRaffle
	_, err := pgx.ForEachRow(
		rows,
		[]any{&id, &read.limit, &read.opensAt, &read.closesAt, &read.entries, &read.members},
		func() error {
			read.index = v.raffles[id].index
			*v.raffles[id] = read
			read = storedRaffle{}
			return nil
		},
	)
	return err
}

// storedEntry is an entry in the database.
type storedEntry struct {
	raffle    int64
	member    string
	ordinal   int32
	request   *[16]byte
	createdAt time.Time
	withdrawn bool
}

func (v *verification) readEntries(ctx context.Context, tx pgx.Tx) error {
	rows, _ := tx.Query(ctx, `SELECT raffle_id, member_id, ordinal, request_id, created_at, withdrawn_at IS NOT NULL
		FROM entries WHERE raffle_id = ANY($1)`, v.g.plan.Raffles) // ForEachRow returns the error
	var e storedEntry
	_, err := pgx.ForEachRow(
		rows,
		[]any{&e.raffle, &e.member, &e.ordinal, &e.request, &e.createdAt, &e.withdrawn},
		func() error {
			raffle := v.raffles[e.raffle]
			if raffle == nil {
				return errors.New("a row of another raffle")
			}
			v.checkEntry(raffle, &e)
			return nil
		},
	)
	return err
}

// checkEntry compares one entry with its request.
func (v *verification) checkEntry(raffle *storedRaffle, e *storedEntry) {
	v.found.rows++
	if raffle.opensAt != nil && e.createdAt.Before(*raffle.opensAt) ||
		raffle.closesAt != nil && !e.createdAt.Before(*raffle.closesAt) {
		v.found.outsideOpenTime++
	}
	if !e.withdrawn {
		raffle.rows++
	}
	n, ours := v.numberOf(e)
	if !ours {
		v.found.unrequested++
		return
	}
	v.checkRequest(n, e)
	if e.withdrawn {
		return
	}
	index, member := v.g.plan.target(n)
	switch v.entries.at(member*int64(len(v.g.plan.Raffles)) + int64(index)).Add(1) {
	case 1:
		raffle.rowMembers++
	case uint32(raffle.limit) + 1:
		v.found.overLimit++
	}
}

// numberOf returns the number of the entry's request, and whether it is ours.
func (v *verification) numberOf(e *storedEntry) (n int64, ours bool) {
	if e.request == nil {
		return 0, false
	}
	n, ours = v.g.plan.Number(*e.request)
	return n, ours && n < v.g.schedule.next.Load()
}

// checkRequest compares an entry with the outcome of request n.
func (v *verification) checkRequest(n int64, e *storedEntry) {
	old := v.g.outcomes.words.at(n).Or(flagStored)
	index, member := v.g.plan.target(n)
	acknowledged := old & ordinalMask
	switch {
	case old&flagStored != 0:
		v.found.duplicates++
	case old&flagSent == 0:
		v.found.unrequested++
	case acknowledged == 0 && old&flagRefused != 0:
		v.found.refused++
	case acknowledged != 0 && acknowledged != uint32(e.ordinal),
		e.raffle != v.g.plan.Raffles[index], e.member != v.g.plan.MemberID(member):
		v.found.altered++
	}
}

// finish adds what shows only after the last entry.
func (v *verification) finish() {
	v.g.outcomes.each(func(_ int64, word uint32) {
		if word&ordinalMask != 0 && word&flagStored == 0 {
			v.found.missing++
		}
		if word&flagContradicted != 0 {
			v.found.contradicted++
		}
	})
	for _, raffle := range v.raffles {
		if raffle.entries != raffle.rows || raffle.members != raffle.rowMembers {
			v.found.miscounted++
		}
	}
}
