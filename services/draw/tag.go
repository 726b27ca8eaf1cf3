package draw

import (
	"crypto/hmac"
	"crypto/sha256"
	"io"
)

// Opening is what a member alone is given: with the member's id it gives the tag that
// the member's entries carry. Without it nobody can test a guess at who entered.
type Opening [sha256.Size]byte

// Tag stands for a member in the records of one log.
type Tag [sha256.Size]byte

// OpeningOf derives a member's opening from the raffle's key, 32 random bytes that are
// deleted when the raffle is purged.
func OpeningOf(raffleKey []byte, memberID string) Opening {
	h := hmac.New(sha256.New, raffleKey)
	_, _ = io.WriteString(h, "rafflecast opening\n"+memberID) // a hash takes everything
	return Opening(h.Sum(nil))
}

// TagOf returns a member's tag in the log of this origin. The member's id is part of it,
// so that one ticket can't be handed to two members.
func TagOf(origin, memberID string, opening Opening) Tag {
	text := "rafflecast member\n" + origin + "\n" + memberID + "\n"
	return sha256.Sum256(append([]byte(text), opening[:]...))
}
