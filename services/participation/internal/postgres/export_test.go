package postgres

import (
	"context"
	"time"

	"github.com/rafflecast/rafflecast/services/participation/internal/raffle"
)

// The statements whose plans are tested.
const (
	SelectMemberStates  = selectMemberStates
	SelectEntries       = selectEntries
	SelectMemberEntries = selectMemberEntries
)

// Retry and MaxAttempts are what the tests of retries use.
var Retry = retry

const MaxAttempts = maxAttempts

// Unwritten marks an error as one that came before the commit.
func Unwritten(err error) error { return &unwrittenError{err} }

// NewPool is what Open does with its configuration.
var NewPool = newPool

// ErrReadOnly is the error of a server that does not take writes.
var ErrReadOnly = errReadOnly

// TrustedAfter is how many entries in a row make what they confirm trusted.
const TrustedAfter = trustedAfter

// ExpectNewcomers makes the store take all who enter a raffle for newcomers.
func (s *Store) ExpectNewcomers(raffleID int64) {
	s.history.mu.Lock()
	defer s.history.mu.Unlock()
	s.history.of(raffleID).newcomers = trustedAfter
}

// ExpectsNewcomers reports whether the store does that.
func (s *Store) ExpectsNewcomers(raffleID int64) bool {
	return s.history.assume([]raffle.EnterRequest{{RaffleID: raffleID}}).newcomers[raffleID]
}

// ExpectUnchanged makes the store take all who enter a raffle for newcomers, and the raffle
// for unchanged since it has written it.
func (s *Store) ExpectUnchanged(raffleID int64) {
	s.history.mu.Lock()
	defer s.history.mu.Unlock()
	p := s.history.of(raffleID)
	p.newcomers, p.alone = trustedAfter, trustedAfter
	if p.last != nil {
		p.last.until = time.Now().Add(time.Hour)
	}
}

// TrustFor lets a raffle be taken for unchanged for this time.
func (s *Store) TrustFor(raffleID int64, d time.Duration) {
	s.history.mu.Lock()
	defer s.history.mu.Unlock()
	if p := s.history.of(raffleID); p.last != nil {
		p.last.until = time.Now().Add(d)
	}
}

// ExpectsUnchanged reports whether the store takes a raffle for unchanged when these enter.
func (s *Store) ExpectsUnchanged(reqs ...raffle.EnterRequest) bool {
	return s.history.assume(reqs).row != nil
}

// LockUnchanged is the statement that locks a raffle that is taken for unchanged.
const LockUnchanged = lockUnchanged

// GatesInUse returns how many raffles have a gate.
func (s *Store) GatesInUse() int {
	s.gates.mu.Lock()
	defer s.gates.mu.Unlock()
	return len(s.gates.raffles)
}

// MigrateTo migrates up to a version.
var MigrateTo = migrateTo

// ContentOf returns what is stored of a request to create a raffle.
func ContentOf(r raffle.Raffle) ([]byte, error) {
	req, err := creation(r, raffle.RequestID{})
	return req.content, err
}

// patientSettings are those of a transaction that waits for its lock as long as a slow test needs.
const patientSettings = settingsButLock + `set_config('lock_timeout', '1min', true)`

func init() { pipelined = append(pipelined, patientSettings) } //nolint:gochecknoinits // before any test

// EnterPatiently is EnterBatch with a long wait for the lock.
func (s *Store) EnterPatiently(ctx context.Context, reqs []raffle.EnterRequest) ([]raffle.EnterResult, error) {
	return s.enter(ctx, reqs, patientSettings)
}

// Pipelined returns how many transactions of a raffle's pipeline were sent, after it has
// counted some more.
func (s *Store) Pipelined(raffleID int64, more int) int {
	s.pipelines.mu.Lock()
	p := s.pipelines.of[raffleID]
	s.pipelines.mu.Unlock()
	if p == nil {
		return 0
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.count += more
	return p.count
}

// MaxPipelined is how many transactions follow one another on a connection.
const MaxPipelined = maxPipelined
