package draw

import "crypto/sha256"

// Opening is what a member alone is given: with the member's id it gives the tag that
// the member's entries carry. Without it nobody can test a guess at who entered.
type Opening [sha256.Size]byte

// Tag stands for a member in the records of one log.
type Tag [sha256.Size]byte

// TagOf returns a member's tag in the log of this origin. The member's id is part of it,
// so that one ticket can't be handed to two members.
func TagOf(origin, memberID string, opening Opening) Tag {
	text := make([]byte, 0, 256) // which stays on the stack
	for _, part := range []string{"rafflecast member\n", origin, "\n", memberID, "\n"} {
		text = append(text, part...)
	}
	return sha256.Sum256(append(text, opening[:]...))
}
