// Package faults runs the whole system as real processes, breaks it on a seeded
// schedule, and checks from the outside what must always be true.
//
// A system is a PostgreSQL with a standby, a cluster of three NATS servers whose
// stream has three replicas, two instances of participation and three gateways.
// Callers enter, unary and streamed, and withdraw, each with a request id and
// with retries; subscribers watch as a browser's EventSource does, one raffle or
// several on a connection. Every connection between processes leads through a
// link that can delay, cut or black-hole each direction.
//
// # Checks
//
// After the last fault everything is healed and the callers stop. Then:
//
//   - entries_lost: acknowledged entries without their row, acknowledged
//     withdrawals that are not stored.
//   - entries_doubled: requests with two rows, members above the limit, and
//     counters that differ from the rows.
//   - versions_regressed, updates_doubled: what a subscriber saw of one life of a
//     raffle goes back, or repeats.
//   - clients_without_final: subscribers that do not have the database's odds
//     within 5 s of the last entry, without reconnecting.
//   - ghosts: raffles that a gateway lists and the database does not hold.
//   - leaks: processes whose goroutines or open files have grown.
//
// # Lifecycle
//
// Run runs one seed in a directory of its own and leaves nothing running. The
// schedule follows from the seed; what the operating system does in between does
// not, so a seed that failed once may have to be run several times.
package faults
