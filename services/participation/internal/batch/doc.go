// Package batch gathers concurrent entries into few transactions.
//
// A transaction per entry makes every entry of a busy raffle wait for the
// commits of all before it. Here a lane's one flusher takes whatever calls came
// while its last transaction committed and writes them together: batches grow
// with the load by themselves, and a lone call never waits to be joined.
//
// # Concurrency
//
// Enter and Submit may be called from any number of goroutines. A raffle belongs to one
// lane, so flushers of one process never wait for each other's row locks.
//
// # Lifecycle
//
// Run works until its context ends, then answers what is queued and returns;
// calls are refused from then on. Those made before Run wait for it in the queue.
//
// # Invariants
//
//   - The queue is bounded; a call that finds it full fails at once with
//     raffle.ErrBusy.
//   - A call that was given up before its batch began is not written.
//   - Every call is answered once.
//   - Every call in a batch gets its own result; an error is shared only where
//     the whole transaction failed.
package batch
