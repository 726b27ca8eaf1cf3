package raffle

import (
	"fmt"
	"time"

	"github.com/rafflecast/rafflecast/services/draw"
)

// WinnerState is what a drawn ticket has. Its numbers are stored in the database, and
// they equal those of raffle.v1.Winner.State.
type WinnerState int16

// The states of drawn tickets.
const (
	Wins      WinnerState = 1 // it holds a prize
	Alternate WinnerState = 2 // it takes the place of the next winner that is struck
	Struck    WinnerState = 3 // it was struck
)

// Reason is why a winner was struck. Its numbers are stored in the database, and they
// equal those of raffle.v1.StrikeReason.
type Reason int16

// text returns the reason as it stands in the log.
func (r Reason) text() string {
	if r < 1 || int(r) > len(draw.Reasons) {
		return ""
	}
	return draw.Reasons[r-1]
}

// Winner is a ticket that was drawn.
type Winner struct {
	Ticket   int64
	Drawing  int32
	Position int32  // in the order of the drawing, from 1
	MemberID string // empty: purged, or not asked for
	State    WinnerState
	Prize    int32 // which of the prizes, from 1; 0: none, or the winners are alike
	Place    int32 // among all prizes, or among the alternates, from 1
	Reason   Reason
}

// Drawing is a drawing of a raffle.
type Drawing struct {
	Number     int32
	Round      int64
	DrawsAt    time.Time
	Checkpoint string // the signed checkpoint of the log up to the record that fixed the round
	Signature  string // of the round, in hex; empty: it lies ahead
	Seed       string // in hex; empty: it lies ahead
}

// TicketState is what became of a ticket. Its numbers equal those of
// raffle.v1.GetTicketResponse.State.
type TicketState int16

// The states of tickets.
const (
	Live            TicketState = 1 // it counts
	Withdrawn       TicketState = 2 // the entry was withdrawn
	NoEntry         TicketState = 3 // the record is no entry
	TicketWins      TicketState = 4 // it holds a prize
	TicketAlternate TicketState = 5 // it was drawn as an alternate
	TicketStruck    TicketState = 6 // it was drawn and struck
)

// NoLogError means that a raffle has no log: it is not drawn by the service.
type NoLogError struct{ RaffleID int64 }

func (e *NoLogError) Error() string {
	return fmt.Sprintf("raffle %d is not drawn by the service, and has no log", e.RaffleID)
}

// NoDrawError means that no draw of a raffle lies ahead.
type NoDrawError struct{ RaffleID int64 }

func (e *NoDrawError) Error() string {
	return fmt.Sprintf("no draw of raffle %d lies ahead", e.RaffleID)
}

// DrawNotDueError means that the round of a draw is not published yet.
type DrawNotDueError struct {
	RaffleID int64
	DrawsAt  time.Time
}

func (e *DrawNotDueError) Error() string {
	return fmt.Sprintf("the draw of raffle %d is due at %s", e.RaffleID, e.DrawsAt.UTC().Format(time.RFC3339))
}

// DrawAheadError means that a draw of a raffle lies ahead, which must come first.
type DrawAheadError struct {
	RaffleID int64
	DrawsAt  time.Time
}

func (e *DrawAheadError) Error() string {
	return fmt.Sprintf("a draw of raffle %d lies ahead, at %s", e.RaffleID, e.DrawsAt.UTC().Format(time.RFC3339))
}

// NotDrawnError means that a raffle is not drawn yet.
type NotDrawnError struct{ RaffleID int64 }

func (e *NotDrawnError) Error() string { return fmt.Sprintf("raffle %d is not drawn", e.RaffleID) }

// NotAWinnerError means that a ticket has no place that it could lose.
type NotAWinnerError struct{ RaffleID, Ticket int64 }

func (e *NotAWinnerError) Error() string {
	return fmt.Sprintf("ticket %d of raffle %d was not drawn, or was struck already", e.Ticket, e.RaffleID)
}

// TicketNotFoundError means that a log has no record with this number.
type TicketNotFoundError struct{ RaffleID, Ticket int64 }

func (e *TicketNotFoundError) Error() string {
	return fmt.Sprintf("raffle %d has no ticket %d", e.RaffleID, e.Ticket)
}

// NothingVacantError means that every prize of a raffle is held.
type NothingVacantError struct{ RaffleID int64 }

func (e *NothingVacantError) Error() string {
	return fmt.Sprintf("no prize of raffle %d is vacant", e.RaffleID)
}

// StillOpenError means that a raffle has not ended, or that its draw lies ahead.
type StillOpenError struct {
	RaffleID int64
	State    State
}

func (e *StillOpenError) Error() string {
	return fmt.Sprintf("raffle %d has not ended: it is %s", e.RaffleID, e.State)
}

// LogBehindError means that records of a raffle's log are lost which were published. What
// they were is not known, so no other may take their place.
type LogBehindError struct{ RaffleID int64 }

func (e *LogBehindError) Error() string {
	return fmt.Sprintf("the database has lost records of the log of raffle %d that were published", e.RaffleID)
}

// LogMismatchError means that the log of a raffle is not what was signed: somebody has
// changed it. Such a raffle is not drawn.
type LogMismatchError struct {
	RaffleID int64
	Cause    error
}

func (e *LogMismatchError) Error() string {
	return fmt.Sprintf("the log of raffle %d does not match its checkpoint", e.RaffleID)
}

func (e *LogMismatchError) Unwrap() error { return e.Cause }

// Result is what a drawing has yielded, a pure function of the log.
type Result struct {
	Head      draw.Checkpoint // of the log that was drawn from
	Signature []byte          // of the round
	Seed      string          // of the drawing, in hex
	Winners   []Winner        // all that were drawn in this drawing
	Holding   []WinningTicket // the first tickets that hold prizes, of all drawings
}

// Draw replays a log, which must be that of the raffle, and carries out the drawing that
// lies ahead. records calls its argument with each record in order. It fails with
// *LogMismatchError if the log is not what was signed.
func (r *Raffle) Draw(chain *draw.Chain, signature []byte, records func(func(record []byte) error) error) (Result, error) {
	mismatch := func(cause error) (Result, error) {
		return Result{}, &LogMismatchError{RaffleID: r.ID, Cause: cause}
	}
	log, err := r.replay(chain, records)
	if err != nil {
		return Result{}, err
	}
	number, round, _, ok := log.Next()
	switch {
	case log.Head() != r.Log.Head():
		return mismatch(fmt.Errorf("it has %d records and the root %v, not %d and %v",
			log.Head().Size, log.Head().Root, r.Log.Tree.Size, r.Log.Tree.Root()))
	case !ok || number != int(r.Log.Drawing) || int64(round) != r.Log.Round:
		return mismatch(fmt.Errorf("drawing %d from round %d is not what it says", r.Log.Drawing, r.Log.Round))
	}
	res := Result{Head: log.Head(), Signature: signature}
	record, err := draw.Encode(draw.Draw{Drawing: number, Round: round, Signature: signature})
	if err != nil {
		return Result{}, err
	}
	if err := log.Append(record); err != nil {
		return mismatch(err)
	}
	res.add(log, r.alike())
	return res, nil
}

// replay replays a log.
func (r *Raffle) replay(chain *draw.Chain, records func(func(record []byte) error) error) (*draw.Log, error) {
	log := draw.NewLog(r.Log.Origin, chain)
	var wrong error
	err := records(func(record []byte) error {
		wrong = log.Append(record)
		return wrong
	})
	if wrong != nil {
		return nil, &LogMismatchError{RaffleID: r.ID, Cause: wrong}
	}
	return log, err
}

// alike reports whether the winners of a raffle are alike, since it has no prizes.
func (r *Raffle) alike() bool { return len(r.About().Prizes) == 0 }

// add adds what the last drawing of a log has yielded.
func (res *Result) add(log *draw.Log, alike bool) {
	drawings := log.Drawings()
	last := drawings[len(drawings)-1]
	res.Seed = last.Seed
	winners := make(map[int64]*Winner, len(last.Tickets))
	res.Winners = make([]Winner, len(last.Tickets))
	for i, ticket := range last.Tickets {
		res.Winners[i] = Winner{Ticket: ticket, Drawing: int32(last.Number), Position: int32(i + 1)}
		winners[ticket] = &res.Winners[i]
	}
	place := int32(0)
	for i, tickets := range log.Winners() {
		prize := int32(i + 1)
		if alike {
			prize = 0
		}
		for _, ticket := range tickets {
			place++
			if ticket == draw.Vacant {
				continue
			}
			if w := winners[ticket]; w != nil {
				w.State, w.Prize, w.Place = Wins, prize, place
			}
			if len(res.Holding) < MaxWinningTickets {
				res.Holding = append(res.Holding, WinningTicket{ticket, prize})
			}
		}
	}
	for i, ticket := range log.Alternates() {
		if w := winners[ticket]; w != nil {
			w.State, w.Place = Alternate, int32(i+1)
		}
	}
}

// Drawn puts the raffle into the state after a drawing.
func (r *Raffle) Drawn(res Result, now time.Time) error {
	if r.Log.Head() != res.Head || !r.Log.DrawAhead() {
		return &NoDrawError{RaffleID: r.ID} // another drawer was faster
	}
	if err := r.Log.appendEncoded(draw.Draw{
		Drawing: int(r.Log.Drawing), Round: uint64(r.Log.Round), Signature: res.Signature,
	}); err != nil {
		return err
	}
	r.Log.DrawsAt, r.Log.Winning = time.Time{}, res.Holding
	r.State = Drawn
	r.bumpVersion(now)
	return nil
}

// checkDrawn returns an error unless the raffle is drawn and no draw lies ahead.
func (r *Raffle) checkDrawn() error {
	switch {
	case r.Log == nil:
		return &NoLogError{RaffleID: r.ID}
	case r.State != Drawn:
		return &NotDrawnError{RaffleID: r.ID}
	case r.Log.DrawAhead():
		return &DrawAheadError{RaffleID: r.ID, DrawsAt: r.Log.DrawsAt}
	case r.Log.Seen > r.Log.Tree.Size:
		return &LogBehindError{RaffleID: r.ID}
	}
	return nil
}

// Strike strikes a drawn ticket. next is the first alternate, or nil if there is none. It
// fails with *NoLogError, *NotDrawnError, *DrawAheadError or *NotAWinnerError.
func (r *Raffle) Strike(struck, next *Winner, reason Reason, now time.Time) error {
	if err := r.checkDrawn(); err != nil {
		return err
	}
	if struck.State == Struck {
		return &NotAWinnerError{RaffleID: r.ID, Ticket: struck.Ticket}
	}
	if err := r.Log.appendEncoded(draw.Strike{Ticket: struck.Ticket, Reason: reason.text()}); err != nil {
		return err
	}
	held := struck.State == Wins
	struck.State, struck.Reason = Struck, reason
	if held {
		if next != nil {
			next.State, next.Prize, next.Place = Wins, struck.Prize, struck.Place
		}
		r.Log.replaceWinning(struck.Ticket, next)
	}
	r.bumpVersion(now)
	return nil
}

// replaceWinning replaces a ticket among the winning ones that the raffle holds itself.
func (l *Log) replaceWinning(ticket int64, next *Winner) {
	var winning []WinningTicket
	for _, w := range l.Winning {
		switch {
		case w.Ticket != ticket:
			winning = append(winning, w)
		case next != nil:
			winning = append(winning, WinningTicket{next.Ticket, w.Prize})
		}
	}
	l.Winning = winning
}

// Redraw fixes the round of a drawing for the vacant prizes. It fails with *NoLogError,
// *NotDrawnError, *DrawAheadError, *NothingVacantError, and as Close does.
func (r *Raffle) Redraw(vacant int64, now time.Time, draws *Draws) error {
	if err := r.checkDrawn(); err != nil {
		return err
	}
	if vacant <= 0 {
		return &NothingVacantError{RaffleID: r.ID}
	}
	round, err := r.Log.nextRound(now, draws)
	if err != nil {
		return err
	}
	if err := r.Log.appendEncoded(draw.Redraw{At: draw.TimeOf(now), Drawing: int(r.Log.Drawing), Round: round}); err != nil {
		return err
	}
	r.bumpVersion(now)
	return r.Log.fix(draws)
}

// CheckPurge returns an error unless the members' data of the raffle can be deleted: it
// must be final.
func (r *Raffle) CheckPurge() error {
	switch {
	case r.Log.DrawAhead():
		return &DrawAheadError{RaffleID: r.ID, DrawsAt: r.Log.DrawsAt}
	case !r.Final():
		return &StillOpenError{RaffleID: r.ID, State: r.State}
	}
	return nil
}

// SignedHead returns the signed checkpoint of the log as it is now.
func (l *Log) SignedHead(draws *Draws) (string, error) {
	if draws == nil {
		return "", ErrDrawsOff
	}
	return l.sign(draws)
}

// WinnerKey is the position of a winner in the list of winners.
type WinnerKey struct {
	State  WinnerState
	Place  int32
	Ticket int64
}
