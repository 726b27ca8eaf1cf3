package drawer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/rafflecast/rafflecast/services/draw"
	"github.com/rafflecast/rafflecast/services/draw/logfile"
	"github.com/rafflecast/rafflecast/services/participation/internal/raffle"
)

// Report tells all that is needed to check a draw, besides the log.
type Report struct {
	Drawings    []Drawing
	Chain       string // its hash
	ChainInfo   string // JSON; empty: the service does not know the chain
	LogSize     int64
	Checkpoint  string // of the log as it is now, signed; empty before the close
	VerifierKey string // one in a line, the current one first
}

// Drawing is a drawing and the tickets that were drawn.
type Drawing struct {
	raffle.Drawing
	Tickets     []int64 // at most the first maxTickets
	TicketCount int64
}

// chainInfo returns the description of a chain, as a relay's /info has it.
func chainInfo(chain *draw.Chain) string {
	info, err := json.Marshal(chain)
	if err != nil {
		panic(err) // it never fails
	}
	return string(info)
}

// maxTickets bounds the tickets of a drawing in a report.
const maxTickets = 1000

// withLog reads a raffle that has a log. It fails with *raffle.NotFoundError or
// *raffle.NoLogError.
func (d *Drawer) withLog(ctx context.Context, raffleID int64) (raffle.Raffle, error) {
	r, err := d.store.Get(ctx, raffleID)
	return r, checkLog(&r, err)
}

// toSign is withLog for a raffle whose log will be signed, and also fails with
// raffle.ErrNotCompared.
func (d *Drawer) toSign(ctx context.Context, raffleID int64) (raffle.Raffle, error) {
	r, err := d.store.GetCompared(ctx, raffleID)
	return r, checkLog(&r, err)
}

func checkLog(r *raffle.Raffle, err error) error {
	if err == nil && r.Log == nil {
		return &raffle.NoLogError{RaffleID: r.ID}
	}
	return err
}

// Report returns the report of a raffle. It fails as toSign does.
func (d *Drawer) Report(ctx context.Context, raffleID int64) (Report, error) {
	r, err := d.withLog(ctx, raffleID)
	if err == nil && r.State.Ended() {
		r, err = d.toSign(ctx, raffleID)
	}
	if err != nil {
		return Report{}, err
	}
	report := Report{Chain: r.Log.Chain, LogSize: r.Log.Tree.Size, VerifierKey: strings.Join(d.cfg.VerifierKeys, "\n")}
	if d.cfg.Draws != nil {
		if chain, ok := d.cfg.Draws.Chains[r.Log.Chain]; ok {
			report.ChainInfo = chainInfo(chain)
		}
	}
	drawings, err := d.store.Drawings(ctx, raffleID)
	if err != nil {
		return Report{}, err
	}
	for _, drawing := range drawings {
		one := Drawing{Drawing: drawing}
		if drawing.Signature != "" {
			if one.Tickets, one.TicketCount, err = d.store.DrawnTickets(ctx, raffleID, drawing.Number, maxTickets); err != nil {
				return Report{}, err
			}
		}
		report.Drawings = append(report.Drawings, one)
	}
	if r.State.Ended() {
		report.Checkpoint, err = r.Log.SignedHead(d.cfg.Draws)
	}
	return report, err
}

// Winners returns a page of the drawn tickets of a raffle, the raffle, and how many prizes
// nobody holds. It fails as withLog does.
func (d *Drawer) Winners(ctx context.Context, raffleID int64, after raffle.WinnerKey, limit int) ([]raffle.Winner, raffle.Raffle, int64, error) {
	r, err := d.withLog(ctx, raffleID)
	if err != nil || r.State != raffle.Drawn {
		return nil, r, 0, err
	}
	list, err := d.store.ListWinners(ctx, raffleID, after, limit)
	if err != nil {
		return nil, r, 0, err
	}
	vacant, err := d.store.Vacant(ctx, &r)
	return list, r, vacant, err
}

// Checkpoint returns the signed checkpoint of a closed log as it is now. It fails as
// toSign does, and with *raffle.StillOpenError.
func (d *Drawer) Checkpoint(ctx context.Context, raffleID int64) (string, error) {
	r, err := d.toSign(ctx, raffleID)
	if err != nil {
		return "", err
	}
	if !r.State.Ended() {
		return "", &raffle.StillOpenError{RaffleID: raffleID, State: r.State}
	}
	return r.Log.SignedHead(d.cfg.Draws)
}

// errEnough ends the reading of a log.
var errEnough = errors.New("enough was read")

// LogPage returns the records from an index on, a multiple of logfile.PageSize, as many as a
// page has, framed. It fails as withLog does.
func (d *Drawer) LogPage(ctx context.Context, raffleID, from int64) ([]byte, error) {
	r, err := d.withLog(ctx, raffleID)
	if err != nil || from >= r.Log.Tree.Size {
		return nil, err
	}
	var page []byte
	err = readPage(ctx, d.store, raffleID, from, func(record []byte) { page = logfile.Append(page, record) })
	return page, err
}

// readPage calls f with the records of the page that begins at an index.
func readPage(ctx context.Context, store Store, raffleID, from int64, f func(record []byte)) error {
	err := store.ReadLog(ctx, raffleID, from, func(index int64, record []byte) error {
		if index >= from+logfile.PageSize {
			return errEnough
		}
		f(record)
		return nil
	})
	if errors.Is(err, errEnough) {
		return nil
	}
	return err
}

// Ticket is a ticket and the proof that it is in the log.
type Ticket struct {
	State  raffle.TicketState
	Record []byte
	Proof  string
}

// Ticket returns a ticket. It fails as toSign does, and with *raffle.TicketNotFoundError.
func (d *Drawer) Ticket(ctx context.Context, raffleID, ticket int64) (Ticket, error) {
	r, err := d.toSign(ctx, raffleID)
	if err != nil {
		return Ticket{}, err
	}
	size := r.Log.Tree.Size
	if ticket >= size {
		return Ticket{}, &raffle.TicketNotFoundError{RaffleID: raffleID, Ticket: ticket}
	}
	checkpoint, err := r.Log.SignedHead(d.cfg.Draws)
	if err != nil {
		return Ticket{}, err
	}
	record, proof, err := d.roots.prove(ctx, &r, ticket)
	if err != nil {
		return Ticket{}, err
	}
	t := Ticket{Record: record, State: raffle.NoEntry}
	t.Proof = draw.Receipt{Extra: record, Index: ticket, Proof: proof, Checkpoint: []byte(checkpoint)}.String()
	decoded, err := draw.Decode(record)
	if err != nil {
		return Ticket{}, fmt.Errorf("record %d of raffle %d: %w", ticket, raffleID, err)
	}
	if _, ok := decoded.(draw.Entry); ok {
		t.State, err = d.store.TicketState(ctx, raffleID, ticket)
	}
	return t, err
}
