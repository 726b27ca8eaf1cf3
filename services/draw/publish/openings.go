package publish

import (
	"crypto/hmac"
	"crypto/sha256"
	"hash"
	"io"
	"sync"

	"github.com/rafflecast/rafflecast/services/draw"
)

// Openings derives the openings of a raffle's members. Make it with NewOpenings. It is
// safe for concurrent use.
type Openings struct{ hashes sync.Pool }

// NewOpenings returns the openings that are made from the raffle's key, 32 random bytes
// that are deleted when the raffle is purged.
func NewOpenings(raffleKey []byte) *Openings {
	return &Openings{sync.Pool{New: func() any { return hmac.New(sha256.New, raffleKey) }}}
}

// Of returns the opening of a member: HMAC-SHA-256, by the raffle's key, of "rafflecast
// opening", a line feed and the member's id.
func (o *Openings) Of(memberID string) (opening draw.Opening) {
	h := o.hashes.Get().(hash.Hash)
	defer o.hashes.Put(h)
	h.Reset()
	// A hash takes everything.
	_, _ = io.WriteString(h, "rafflecast opening\n")
	_, _ = io.WriteString(h, memberID)
	h.Sum(opening[:0])
	return opening
}
