// Package load enters members into raffles as fast as it is told to, and then
// proves from the database that the service kept its word.
//
// Every request has a number, from 0, and everything in it follows from that
// number (see Plan). So what came of a request is kept in four bytes, and a row
// in the database is led back to the request that it belongs to.
//
// # What is verified
//
//   - lost: acknowledged entries that are not stored, or not as acknowledged.
//   - doubled: requests whose answers contradict each other (two entries, or an
//     entry and a refusal), and stored rows that should not be: a second one of
//     the same request, one of a refused request, one that nobody asked for.
//   - counter_wrong: raffles whose counters differ from the rows that count,
//     members above the limit, and entries placed outside the open time.
//
// # Concurrency
//
// Senders share the ledger and the tally, which are safe for that. One run is
// driven by one call of Run.
//
// # Latency
//
// At a set rate, a request's latency counts from the moment at which it should
// have been sent, whether or not a sender was free: a stall of the service
// shows in full. Without a rate the next request waits for the last one's
// answer, and latency counts from when it was sent.
package load
