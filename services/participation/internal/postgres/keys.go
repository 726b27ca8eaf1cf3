package postgres

import (
	"errors"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/rafflecast/rafflecast/services/draw/publish"
	"github.com/rafflecast/rafflecast/services/participation/internal/raffle"
)

const (
	// maxKeys bounds how many raffles' keys are remembered. Beyond it all are forgotten.
	maxKeys = 100_000
	// keyAge bounds for how long a key is remembered, so that purged keys are forgotten.
	keyAge = 10 * time.Minute
)

// keyCache remembers the keys of raffles' logs, and which raffles have none. It is safe
// for concurrent use.
type keyCache struct {
	mu   sync.RWMutex
	keys map[int64]cachedKey
}

type cachedKey struct {
	key *raffle.LogKey
	at  time.Time // when it was read
}

func (c *keyCache) get(raffleID int64) *raffle.LogKey {
	c.mu.RLock()
	defer c.mu.RUnlock()
	cached := c.keys[raffleID]
	if cached.key == nil || time.Since(cached.at) > keyAge {
		return nil
	}
	return cached.key
}

func (c *keyCache) put(key *raffle.LogKey) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.keys == nil || len(c.keys) >= maxKeys {
		c.keys = make(map[int64]cachedKey)
	}
	c.keys[key.RaffleID] = cachedKey{key, time.Now()}
}

func (c *keyCache) forget(raffleID int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.keys, raffleID)
}

// Tag makes the tag of a member in a raffle's log, if the key of the raffle is known. Many
// goroutines can call it, so that the work is not done one request after another when the
// batch is written.
func (s *Store) Tag(raffleID int64, memberID string) raffle.Tag {
	if key := s.keys.get(raffleID); key != nil {
		return key.Tag(memberID)
	}
	return raffle.Tag{}
}

const selectKeys = `SELECT r.id, coalesce(r.epoch, ''), coalesce(r.log_origin, ''), k.key
	FROM raffles r LEFT JOIN raffle_keys k ON k.raffle_id = r.id WHERE r.id = ANY($1)`

// scanKeys reads the rows of selectKeys.
func (s *Store) scanKeys(rows pgx.Rows, each func(*raffle.LogKey)) error {
	keys, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (*raffle.LogKey, error) {
		var key raffle.LogKey
		var secret []byte
		err := row.Scan(&key.RaffleID, &key.Epoch, &key.Origin, &secret)
		if len(secret) > 0 {
			key.Openings = publish.NewOpenings(secret)
		}
		return &key, err
	})
	for _, key := range keys {
		s.keys.put(key)
		each(key)
	}
	return err
}

// errStaleKey means that a tag was made for another life of its raffle.
var errStaleKey = errors.New("the key of a raffle's log has changed")

// forgetKeys forgets the keys of requests, and the tags that were made from them.
func (s *Store) forgetKeys(reqs []raffle.EnterRequest) {
	for i := range reqs {
		s.keys.forget(reqs[i].RaffleID)
		reqs[i].Tag = raffle.Tag{}
	}
}

// untagged returns the raffles of requests whose tags must be made within the batch.
func untagged(reqs []raffle.EnterRequest) (ids []int64) {
	for i := range reqs {
		if reqs[i].Tag.Key == nil {
			ids = append(ids, reqs[i].RaffleID)
		}
	}
	return distinct(ids)
}
