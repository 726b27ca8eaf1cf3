// Package batch writes the entries of concurrent calls in few transactions.
//
// With a transaction per entry, every entry of a busy raffle waits for the commits
// of all entries before it. Here entries wait in a queue: while one batch is being
// committed, the next one gathers. Batches grow with the load by themselves, and a
// lone call is written at once instead of waiting for others.
//
// The queue is divided into partitions, and a raffle belongs to one of them. Each
// partition has one goroutine that writes its batches, one after the other, so
// that the transactions of one process never wait for each other's row locks.
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
//   - However many entries streams submit, single calls find their own part of the
//     queue, and of the next batch; and of the streams' part there is always some that
//     no stream may hold.
//   - A call whose context ended before its batch began is not written.
//   - While the database is known to be unavailable, calls fail at once with
//     raffle.ErrUnavailable.
//   - Every call is answered exactly once, with its own result. Calls share an
//     error only if their whole transaction failed.
package batch
