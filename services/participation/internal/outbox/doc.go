// Package outbox brings each committed version of a raffle to the JetStream stream
// of odds, from which all gateways read. It is the whole answer to the question how
// a commit becomes visible:
//
//	commit ──> Queue ──> relay ──> stream      at once
//	database ──> checkpoint ──> Queue          within 2 s, after a crash
//	database, stream ──> reconcile ──> Queue   after either has lost something
//
// These are the parts:
//
//   - The Queue keeps, for each raffle, the newest version that is not in the stream
//     yet. Odds are state, so an older version that still waits is replaced. A raffle
//     that changes a thousand times a second needs no more memory than another.
//   - The relay publishes what is in the Queue. It has one message per raffle in
//     flight, and it conflates: two messages of one raffle are at least the conflation
//     interval apart. The first is sent at once, the last always, and of those between
//     only the newest. The messages that the stream keeps per raffle thereby cover a
//     known span of time.
//   - The checkpoint writes to the database which versions the stream has
//     acknowledged (raffles.published_version). It also reads from there which versions
//     were committed a while ago and are not marked as published, because the process
//     that committed them has crashed, and puts them into the Queue.
//   - Reconcile compares the whole stream with the database when the two may have
//     drifted apart: at the start, after a reconnection, if the stream is another one,
//     shorter, or has fewer messages, of all raffles or of one, or fewer raffles than
//     what was acknowledged, if the database was restored or has failed over, and every ten minutes. JetStream
//     acknowledges before it syncs to disk, so a power cut may lose messages; and a
//     database may be restored from a backup.
//
// # Identity
//
// What the database holds is the truth, and what it does not hold is shown by nobody:
//
//   - The stream's metadata names the database to which it belongs. Nothing is
//     published into a stream of another database.
//   - A raffle's epoch tells it from another one that had the same id. Versions are
//     compared within an epoch only. A message without an epoch comes from an earlier
//     version of the service and may belong to any.
//   - If the stream has a higher version than the row, or the same with other content,
//     the row's version is bumped above it, since gateways ignore lower ones. That is
//     done wherever it is met: by the relay, the checkpoint and reconcile.
//   - If the stream has a raffle that the database does not have, a last message says
//     that it was removed.
//   - A message that no reader can believe is damage. It is reported, and the truth is
//     appended behind it.
//
// # Logs
//
// The log of a raffle that will be drawn is published with its odds, and viewers keep its
// size, root and receipts. A database that was restored may have lost records, and other
// entries may have taken their places. So nothing of a log is published before the first
// comparison with the database that answers, see raffle.Comparison. If the log does not continue what
// the stream has of it, the comparison begins another one under another name. The id of a
// raffle with a log that is lost is given to no other, since the log is named after it.
//
// # Direction
//
// The store that commits is given the Queue when it is made, and enqueues in the
// method that commits. The relay and its loops are given the store as their Source.
// So the calls run one way, and the Queue, which depends on nothing, is at the end of
// each. The alternative is that the methods of the store return what they changed, and
// that their callers enqueue it. It was not chosen, because a caller that forgets to
// do so would delay the odds by two seconds, which no test of that caller notices.
//
// # Concurrency
//
// All methods of Queue may be called from any goroutine, and none but Drain blocks.
// Any number of processes may publish the odds of the same raffles. Each message
// names the sequence of the message that it expects to follow on its subject. If
// another process was faster, the server refuses the message; the relay then looks at
// what is there, and publishes its own version only if it is higher, once the
// interval has passed.
//
// # Lifecycle
//
// Outbox.Run runs the loops until its context ends and writes a last checkpoint.
// Queue.Drain, called before that, waits until everything is published, without
// pausing for the conflation interval. What is not published by the end is found in
// the database by any other instance.
//
// # Invariants
//
//   - Along the stream, the versions of a raffle only rise within an epoch.
//   - A version counts as published only after the server has acknowledged it, or
//     after a higher one was seen in the stream that the database has, too.
//   - Publishing is repeated until it succeeds or a newer version takes the place.
//   - Two messages of one raffle are at least the conflation interval apart in the
//     stream, whichever processes publish them. Final states and messages that are
//     sent while the outbox drains are exempt.
//   - What a crash leaves unpublished is published within 2 s by any instance.
package outbox
