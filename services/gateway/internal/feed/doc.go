// Package feed brings the odds of all raffles from NATS into memory.
//
// One core subscription hears every message that the stream has stored, with
// its sequence. That is cheap, and may lose messages: so the feed takes a fresh
// snapshot of the stream's newest odds whenever something may have been missed.
//
// # Concurrency
//
// All methods are safe for concurrent use. The function that takes updates is
// called from one goroutine at a time per raffle, never with a lower version
// after a higher one.
//
// # Lifecycle
//
// Run works until its context ends. Ready turns true with the first snapshot,
// and stays so: with NATS away the feed goes on telling what it knows.
//
// # Invariants
//
//   - A raffle's version never falls, whatever comes from NATS in which order.
//   - What the stream holds is known here within 5 s of NATS being reachable:
//     a gap in the sequence, a tail that was not heard (looked for once a
//     second), a reconnect, a slow consumer, a stream made again: each leads to
//     a snapshot. A connection on which nothing passes any more is left after
//     three pings without an answer, 6 s.
//   - The recent updates of a raffle that Since returns have no others between
//     them in the stream. Recall adds those which the stream still holds, where
//     the two meet without a hole.
package feed
