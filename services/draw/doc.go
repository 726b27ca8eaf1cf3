// Package draw is the log of a raffle, the drawing of its winners, and the verifier, for
// strangers: read this page, then the files record, tree, checkpoint, tag, chain, log,
// drawing and verify, in this order. README.md says how to check a draw by hand.
//
// # API
//
//	Encode, Decode, AppendEntry; Rules, Entry, Withdrawal, Close, Draw, Strike, Redraw, Cancel, Restored; Reasons
//	LeafHash, Tree                    the Merkle tree
//	Origin, Checkpoint, ParseCheckpoint, OpenCheckpoint, Receipt, ParseReceipt
//	TagOf                             who has a ticket
//	Chain, ParseChain, Quicknet, Message, Randomness, Time, TimeOf
//	Log, NewLog, Log.Append, Log.Next, Log.Head, Log.Drawings, Log.Winners, Log.Alternates, Drawing
//	Verify, Input, Report, Check, Outcome
//
// Package logfile reads the records of a log from a file or a page. Package publish is for
// the publisher of a log: the members' openings, the tree in a database, and proofs. Package chance calculates a
// member's own chance. Package drand fetches rounds, and runs a development chain. Command
// rafflecast-verify is Verify for files and URLs.
//
// # The log
//
// Everything that changes a raffle is a record: one byte for the kind, and a body. A log
// begins with RULES (or RESTORED, then RULES), and goes on with ENTRY, WITHDRAWAL and further
// RULES until CLOSE (or CANCEL, which ends it). Then come DRAW, and any number of STRIKE and, where
// prizes are vacant, REDRAW followed by its DRAW. The index of an ENTRY is its ticket number.
// Bodies in JSON are stored and hashed as they were written. Times have microseconds and
// one form. An unknown kind, format, rule, reason or field is an error, so an old verifier
// never misunderstands a new log.
//
// The records are the leaves of the Merkle tree of RFC 6962. A checkpoint, three lines
// with the log's name (its origin), size and root, is signed by the operator. A viewer
// who kept one can tell whether any earlier record was changed, dropped, added or moved.
//
// An entry carries a tag instead of a member id: SHA-256("rafflecast member\n" ‖ origin ‖
// "\n" ‖ member id ‖ "\n" ‖ opening). Only the member is given the opening, 32 bytes that
// depend on a key of the raffle; without it nobody can test a guess.
//
// # The randomness
//
// CLOSE names the first round of a drand chain that is out the rules' delay after the
// close. A round is a BLS signature of its number, which nobody knows before it is out,
// and which everybody can verify; its randomness is SHA-256(signature).
//
// # The drawing
//
// Drawing 1 follows CLOSE, drawing 2 and later ones follow a REDRAW. With i the index of that record:
//
//	text = "rafflecast draw\n" + the three lines of the checkpoint of the first i+1 records +
//	       "drawing {d}\n" + "drand {chain}\n" + "round {r}\n" + "randomness {hex}\n"
//	seed = SHA-256(text) in lowercase hexadecimal
//	x(j) = the first 64 bits of SHA-256(seed + " " + j), for j = 0, 1, 2, …
//	n    = the index of CLOSE
//
// Each x(j) below 2^64 - 2^64 mod n gives the number x(j) mod n; others are rejected, so that all
// numbers are equally likely. The number is a ticket. It is passed over if it is no entry, is
// withdrawn, was drawn before, or, under MEMBER_WINS_ONCE, if its member was drawn before.
// Otherwise it takes the first vacant place of the prizes in the rules' order or, where
// none is vacant, becomes the last alternate. Drawing 1 draws the number of prizes and alternates, a later
// one the number of vacant prizes; or as many as can win.
//
// A STRIKE takes a ticket's place away; the first alternate, if there is one, takes
// exactly that place. None is allowed while a drawing lies ahead, since its round may be
// known by then.
package draw
