// Package feed brings the odds of all raffles from NATS into the cache.
//
// One core subscription receives every message that the stream has stored, with
// its sequence. That is cheap, but messages may be lost. So the feed takes a fresh
// snapshot of the stream's newest odds whenever it may have missed something.
//
// # Concurrency
//
// All methods are safe for concurrent use. Config.Publish is called for one update
// at a time, never with a lower version of a raffle after a higher one.
//
// # Lifecycle
//
// New starts to connect to NATS and does not wait for it. Run follows the stream
// until its context ends, then closes the connection. Ready turns true with the
// first snapshot and stays true: while NATS is unavailable, the cache keeps what is
// known.
//
// # Invariants
//
//   - What the stream holds is in the cache within 5 s of NATS being reachable. Each
//     of these leads to a snapshot: a gap in the sequences, a tail of the stream that
//     was not received (looked for once a second), a reconnect, a slow consumer, a
//     stream that was created again or has become shorter. A connection on which
//     nothing passes any more is given up after three pings without an answer, 6 s, and
//     so is a server that for 6 s has known of no leader of the stream.
//   - The cache is told of every gap, so that nothing seems complete that is not.
package feed
