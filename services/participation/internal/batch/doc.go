// Package batch writes the entries of concurrent calls in few transactions.
//
// With a transaction per entry, every entry of a busy raffle waits for the commits
// of all entries before it. Here entries wait in a queue: while one batch is being
// committed, the next one gathers. Batches grow with the load by themselves, and a
// lone call is written at once instead of waiting for others.
//
// The queue is divided into partitions, and a raffle belongs to one of them. Each
// partition has two goroutines that write its batches, so that the database has work
// while the service completes the calls of one batch and gathers the next (pipelining).
// Once there are enough calls for a batch, it is sent behind the one that is being
// written, on the same connection. If it can't be, it waits until that one is written. So
// the transactions of one process never wait for each other's row locks.
//
// # Concurrency
//
// Enter, Submit, Submitter and Waiting may be called from any number of goroutines.
//
// # Lifecycle
//
// Run writes until its context ends, then refuses new calls, writes what is still
// queued, and returns. Calls made before Run wait in the queue.
//
// # Invariants
//
//   - The queue is bounded. A call that finds its partition full fails at once
//     with raffle.ErrBusy.
//   - A partition has at most two batches under way, which the database writes one after
//     the other, and at most one of them is in Store.EnterBatch.
//   - However many entries streams submit, single calls find their own part of the
//     queue, and of the next batch; and of the streams' part there is always some that
//     no stream may hold.
//   - A call whose context ended before its batch began is not written.
//   - While the database is known to be unavailable, calls fail at once with
//     raffle.ErrUnavailable.
//   - Every call is answered exactly once, with its own result. Calls share an
//     error only if their whole transaction failed.
package batch
