package postgres

import (
	"slices"

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

// ExpectedAfter is how many first entries in a row make a raffle's members unread.
const ExpectedAfter = expectedAfter

// ExpectNewcomers makes the store expect that all who enter a raffle have no entry.
func (s *Store) ExpectNewcomers(raffleID int64) {
	s.newcomers.observe(slices.Repeat([]raffle.Entry{{RaffleID: raffleID}}, expectedAfter), nil)
}

// ExpectsNewcomers reports whether the store expects that.
func (s *Store) ExpectsNewcomers(raffleID int64) bool {
	return s.newcomers.expected([]raffle.EnterRequest{{RaffleID: raffleID}})[raffleID]
}

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
