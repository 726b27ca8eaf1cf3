// Package cache holds the newest odds of every raffle in memory and, for clients
// that come back, a ring buffer of the updates before them. The feed writes to it;
// the fan-out and the HTTP handlers read from it.
//
// # Concurrency
//
// All methods are safe for concurrent use. Slices that they return are shared and
// must not be changed; they never change themselves.
//
// # Memory
//
// A ring buffer is shallow until a client asks for more than it holds. Then it is
// backfilled from the stream and becomes as deep as the stream itself, so that the
// next client is served from memory. It becomes shallow again when no client has
// resumed from it for a while, or when the deep ones together hold too many
// updates; then the one goes first that no client has resumed from for the longest
// time. Adding an update costs the same however deep a ring buffer is.
//
// # Invariants
//
//   - A raffle's newest version never falls.
//   - Between two neighbours in a ring buffer the stream had no other message of the
//     raffle. If messages may have been missed, the ring buffer starts anew.
//   - A ring buffer that is marked as backfilled holds every message of the raffle
//     that the stream holds: whether a client can be resumed does not depend on who
//     asks first.
package cache
