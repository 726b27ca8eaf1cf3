// Package load enters members into raffles of a running service, and then proves
// from the service's database that every acknowledged entry is there exactly once.
//
// Every request has a number, counted from 0, from which its contents are derived
// (see Plan). So the outcome of a request takes four bytes, and a row of the
// database leads back to the request that it belongs to.
//
// # What is verified
//
//   - lost: acknowledged entries that are not stored, or not as acknowledged.
//   - doubled: requests whose answers contradict each other (two entries, or an
//     entry and a refusal), and rows that should not exist: a second one of a
//     request, one of a refused request, one that was not requested.
//   - counter_wrong: raffles whose counters differ from their rows, members above
//     the limit, and entries outside the open time.
//
// With a gateway, its updates of the first raffle are watched meanwhile: each commit, or
// a newer one, must arrive within some seconds (package flow).
//
// # Latency
//
// At a set rate, a request's latency counts from the time at which it was due,
// whether or not a sender was free then, so that a stall of the service shows in
// full. Without a rate, the next request waits for the answer to an earlier one,
// and latency counts from when a request was sent.
//
// # Concurrency
//
// A Generator's methods are called by one goroutine, but for Acknowledged. Its
// senders share the schedule, the outcomes and the counters, which are safe for
// concurrent use.
package load
