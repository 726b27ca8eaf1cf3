// Package bench measures the whole system: how old odds are when they arrive at viewers,
// while others enter.
//
// Everything is real and a process of its own, on loopback: PostgreSQL, which waits for its
// disk, a NATS server, and the programs participation and gateway with their default
// settings. Two more processes are the callers, who enter at a set rate, and the viewers.
// All share the machine, so the report says how much CPU each has used, and how long it
// has waited for one. The viewers come before the others, if that is permitted: outside of a
// benchmark they have machines of their own, and odds do not wait for the CPU of another
// viewer.
//
// # Scenes
//
//   - crowd: all viewers watch one raffle, which takes all entries.
//   - few: the same with some viewers only. What the odds' age is without a crowd.
//   - raffles: ten viewers on each of many raffles, which share the entries.
//
// # Age
//
// The age of odds is the time from their commit, which is `at` in the event and comes from
// PostgreSQL's clock, until a viewer's read of its socket has returned. The event rounds
// `at` down to a millisecond, so ages are up to 1 ms too high.
//
// # Checks
//
// A run fails if a viewer sees a version that is not above the one before, an event that
// does not belong to its raffle, a stream that ends early, or no update at all; if the final
// odds do not arrive at every viewer; or if the database differs from what the callers were
// answered.
package bench
