package postgres

import (
	"context"
	"crypto/rand"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/rafflecast/rafflecast/services/draw/publish"
	"github.com/rafflecast/rafflecast/services/participation/internal/raffle"
)

// drawColumns are the columns of a raffle's details, log and draw as they are stored.
type drawColumns struct {
	description, pictureURL string
	prizeNames              []*string // nil: NULL, which stands there only by hand
	prizeCounts             []*int32
	holders                 []int64
	origin                  *string // nil: the raffle has no log
	tree                    []byte
	chain                   *string
	delay                   *int32 // seconds
	alternates, drawing     int32
	round                   int64
	drawsAt                 pgtype.Timestamptz
	checkpoint              string
	winningTickets          []int64
	winningPrizes           []int32
	seen                    int64
}

// addTo adds what the columns hold to a raffle. It fails if the tree of its log can't be
// read.
func (d *drawColumns) addTo(r *raffle.Raffle) error {
	if d.description != "" || d.pictureURL != "" || len(d.prizeNames) > 0 {
		r.Details = &raffle.Details{Description: d.description, PictureURL: d.pictureURL}
		for i := range min(len(d.prizeNames), len(d.prizeCounts)) {
			if name, count := d.prizeNames[i], d.prizeCounts[i]; name != nil && count != nil {
				r.Details.Prizes = append(r.Details.Prizes, raffle.Prize{Name: *name, Count: *count})
			}
		}
	}
	if r.Rule == raffle.MemberWinsOnce {
		r.Holders = raffle.NewHolders(d.holders)
	}
	if d.origin == nil {
		return nil
	}
	log := &raffle.Log{
		Origin: *d.origin, Alternates: d.alternates, Drawing: d.drawing, Round: d.round,
		DrawsAt: timeOf(d.drawsAt), Checkpoint: d.checkpoint, Seen: d.seen,
	}
	tree, err := publish.UnmarshalTree(d.tree)
	if err != nil {
		return err
	}
	log.Tree = tree
	if d.chain != nil {
		log.Chain = *d.chain
	}
	if d.delay != nil {
		log.Delay = time.Duration(*d.delay) * time.Second
	}
	for i := range min(len(d.winningTickets), len(d.winningPrizes)) {
		log.Winning = append(log.Winning, raffle.WinningTicket{Ticket: d.winningTickets[i], Prize: d.winningPrizes[i]})
	}
	r.Log = log
	return nil
}

// drawColumnsOf returns the columns of a raffle.
func drawColumnsOf(r *raffle.Raffle) drawColumns {
	about := r.About()
	d := drawColumns{description: about.Description, pictureURL: about.PictureURL, holders: r.Holders.Counts()}
	for _, p := range about.Prizes {
		d.prizeNames, d.prizeCounts = append(d.prizeNames, &p.Name), append(d.prizeCounts, &p.Count)
	}
	log := r.Log
	if log == nil {
		return d
	}
	d.origin, d.chain, d.delay = &log.Origin, &log.Chain, new(int32(log.Delay/time.Second))
	d.tree = publish.MarshalTree(&log.Tree)
	d.alternates, d.drawing, d.round, d.checkpoint = log.Alternates, log.Drawing, log.Round, log.Checkpoint
	if !log.DrawsAt.IsZero() {
		d.drawsAt = pgtype.Timestamptz{Time: log.DrawsAt, Valid: true}
	}
	for _, w := range log.Winning {
		d.winningTickets, d.winningPrizes = append(d.winningTickets, w.Ticket), append(d.winningPrizes, w.Prize)
	}
	return d
}

const insertRecords = `INSERT INTO raffle_log (raffle_id, first, count, records) VALUES ($1, $2, $3, $4)`

// queueLog stores what the transaction has appended to a raffle's log, and the drawing
// whose round it has fixed.
func queueLog(batch *pgx.Batch, raffleID int64, log *raffle.Log) {
	if records := log.TakeRecords(); records.Count > 0 {
		batch.Queue(insertRecords, raffleID, records.First, records.Count, records.Data)
	}
	if d, ok := log.TakeFixed(); ok {
		batch.Queue(`INSERT INTO drawings (raffle_id, drawing, round, draws_at, checkpoint) VALUES ($1, $2, $3, $4, $5)`,
			raffleID, d.Number, d.Round, d.DrawsAt, d.Checkpoint)
	}
}

// insertKey makes the key of a raffle's log, of 256 random bits.
func insertKey(ctx context.Context, tx pgx.Tx, raffleID int64) error {
	key := make([]byte, keySize)
	_, _ = rand.Read(key) // it never fails
	_, err := tx.Exec(ctx, `INSERT INTO raffle_keys (raffle_id, key) VALUES ($1, $2)`, raffleID, key)
	return err
}

// keySize is the length of a raffle's key in bytes.
const keySize = 32
