package raffle

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/rafflecast/rafflecast/services/draw"
)

// Draws is what closing and drawing raffles needs, besides the database. A nil *Draws
// means that draws are off. It is safe for concurrent use.
type Draws struct {
	// Signer signs checkpoints. Its name is the first part of the origins of all logs.
	Signer note.Signer
	// Chains are the chains of drand that raffles can be drawn with, by their hashes.
	Chains map[string]*draw.Chain
	// DefaultChain is the hash of the chain for raffles that name none.
	DefaultChain string
	// Now is the service's own clock.
	Now func() time.Time
}

// DrawOptions say how a raffle is drawn.
type DrawOptions struct {
	Chain string        // the hash of a chain; empty: the default one
	Delay time.Duration // between closing and draw
}

// DefaultDelay is the delay between closing and draw if the organiser chooses none.
const DefaultDelay = time.Minute

// madeWith reports whether these options are the log's.
func (l *Log) madeWith(o DrawOptions) bool {
	return l != nil && (o.Chain == "" || o.Chain == l.Chain) && (o.Delay == 0 || o.Delay == l.Delay)
}

func (r *Raffle) alternates() int32 {
	if r.Log == nil {
		return 0
	}
	return r.Log.Alternates
}

// ErrDrawsOff means that the service has no key to sign checkpoints with, so that it
// neither makes raffles with a draw nor closes them.
var ErrDrawsOff = errors.New("draws are off: the service has no signing key")

// ChainUnknownError means that the service does not know a chain of drand.
type ChainUnknownError struct{ Chain string }

func (e *ChainUnknownError) Error() string {
	return "draw.chain: the service does not know the chain " + e.Chain
}

// ClockSkewError means that the clocks of database and service disagree by so much that
// a round could be named which is published already.
type ClockSkewError struct{ Skew, Max time.Duration }

func (e *ClockSkewError) Error() string {
	return fmt.Sprintf("the clocks of database and service disagree by %v, and at most %v is safe for this raffle's draw",
		e.Skew.Round(time.Millisecond), e.Max)
}

// ClosingError means that a raffle should be closed by now and can't be.
type ClosingError struct {
	RaffleID int64
	ClosesAt time.Time
	Cause    error // as of Raffle.Close, or ErrNotCompared
}

func (e *ClosingError) Error() string { return fmt.Sprintf("raffle %d: %v", e.RaffleID, e.Cause) }

func (e *ClosingError) Unwrap() error { return e.Cause }

// WinnersError means that the number of winners is not that of the prizes.
type WinnersError struct{ Winners, Places int32 }

func (e *WinnersError) Error() string {
	return fmt.Sprintf("winners: must be the sum of the prizes' counts, %d, or absent (got %d)", e.Places, e.Winners)
}

// NewLog returns the log of a raffle that is to be made, before it has an origin or
// records.
func NewLog(o DrawOptions, alternates int32) *Log {
	return &Log{Chain: o.Chain, Delay: o.Delay, Alternates: alternates}
}

// PrizesError means that there are too many prizes.
type PrizesError struct{ Places int32 }

func (e *PrizesError) Error() string {
	return fmt.Sprintf("prizes: the sum of their counts must be at most %d (got %d)", MaxWinners, e.Places)
}

// StartLog begins a log that NewLog has returned. It fails with ErrDrawsOff or
// *ChainUnknownError.
func (r *Raffle) StartLog(draws *Draws) error {
	if draws == nil {
		return ErrDrawsOff
	}
	if r.Log.Chain == "" {
		r.Log.Chain = draws.DefaultChain
	}
	if _, ok := draws.Chains[r.Log.Chain]; !ok {
		return &ChainUnknownError{Chain: r.Log.Chain}
	}
	r.Log.Origin = draw.Origin(draws.Signer.Name(), r.ID, 1)
	return r.Log.appendEncoded(r.rules())
}

// logRules appends the rules of r to its log if they differ from those of before, which
// has the same log.
func (r *Raffle) logRules(before *Raffle) error {
	if r.Log == nil {
		return nil
	}
	old, err := draw.Encode(before.rules())
	if err != nil {
		return err
	}
	now, err := draw.Encode(r.rules())
	if err != nil || string(old) == string(now) {
		return err
	}
	r.Log.append(now)
	return nil
}

// maxSkew returns how far the clocks of database and service may disagree.
func (l *Log) maxSkew() time.Duration { return l.Delay / 4 }

// closeLog appends the end of the log, which fixes the round of the draw.
func (r *Raffle) closeLog(now time.Time, draws *Draws) error {
	if r.Log == nil {
		return nil
	}
	log := r.Log
	round, err := log.nextRound(now, draws)
	if err != nil {
		return err
	}
	rules, err := draw.Encode(r.rules())
	if err != nil {
		return err
	}
	if err := log.appendEncoded(draw.Close{
		ClosedAt: draw.TimeOf(now), Drawing: 1, Round: round,
		Entries: r.EntryCount, Members: r.MemberCount, Rules: rules[1:],
	}); err != nil {
		return err
	}
	if err := log.fix(draws); err != nil {
		return err
	}
	log.Checkpoint = log.fixed.Checkpoint
	return nil
}

// nextRound fixes the round of the next drawing: the first that is published at least
// the raffle's delay after now.
func (l *Log) nextRound(now time.Time, draws *Draws) (round uint64, err error) {
	if draws == nil {
		return 0, ErrDrawsOff
	}
	chain, ok := draws.Chains[l.Chain]
	if !ok {
		return 0, &ChainUnknownError{Chain: l.Chain}
	}
	if skew := now.Sub(draws.Now()); skew.Abs() > l.maxSkew() {
		return 0, &ClockSkewError{Skew: skew.Abs(), Max: l.maxSkew()}
	}
	round = chain.RoundAt(draw.TimeOf(now.Add(l.Delay)))
	if out := chain.TimeOf(uint64(l.Round)).Time(); l.Drawing > 0 && int64(round) <= l.Round {
		// The round of the drawing before was out, so the database's clock is far behind.
		return 0, &ClockSkewError{Skew: out.Sub(now), Max: l.maxSkew()}
	}
	l.Drawing++
	l.Round, l.DrawsAt = int64(round), chain.TimeOf(round).Time()
	return round, nil
}

// sign returns the signed checkpoint of the log as it is now.
func (l *Log) sign(draws *Draws) (string, error) {
	signed, err := l.Head().Sign(draws.Signer)
	if err != nil {
		return "", fmt.Errorf("sign a checkpoint: %w", err)
	}
	return string(signed), nil
}

// Head returns the checkpoint of the log as it is now.
func (l *Log) Head() draw.Checkpoint {
	return draw.Checkpoint{Origin: l.Origin, Size: l.Tree.Size, Root: l.Tree.Root()}
}
