// Package outbox brings each raffle's newest odds into the JetStream stream.
//
// Odds are state: only the newest are worth publishing. A raffle has at most
// one message under way, and at most one waiting, the newest; so a raffle that
// changes a thousand times a second costs what the server can acknowledge, and
// memory stays bounded by the number of raffles that change.
//
// # Concurrency
//
// Publish and TakePublished may be called from any goroutine and never block.
// Several publishers, in any number of processes, may serve the same raffles:
// each message names the sequence that it expects to follow on its subject, and
// where another was faster, the one with the higher version stays.
//
// # Lifecycle
//
// Run publishes, and Repair keeps the stream true to the database, until their
// context ends. What is waiting then is lost to this
// process; the sweep of any instance finds it again in the database.
//
// # Invariants
//
//   - The versions of one raffle only rise along the stream.
//   - A version is reported as published only once the server has acknowledged
//     it, or a higher one was seen in the stream.
//   - A failure is tried again until it succeeds or newer odds take its place.
package outbox
