// Package faults runs the whole system as real processes, breaks it on a seeded
// schedule, and judges from the outside what must always be true.
//
// A system is a PostgreSQL with a synchronous standby, a cluster of three NATS
// servers whose stream has three replicas, two instances of participation and three
// gateways. Callers enter, unary and streamed, and withdraw, each with a request id
// and with retries; some of their raffles refuse by their rules, one closes on the way.
// Clients watch as a browser's EventSource does, one raffle or several on a
// connection. Every connection between services and stores, and between each two NATS
// servers, leads through a link that can delay, cut or black-hole each direction.
//
// # Judgement
//
// Faults overlap, and come a second apart. After each phase of them everything is
// healed and ready. While entries flow, everybody must see within 5 s what was
// committed at its beginning. Then callers stop, and within 5 s everybody who is
// connected must have the database's odds without reconnecting:
//
//   - entries_lost: acknowledged entries without their row, acknowledged
//     withdrawals that are not stored.
//   - entries_doubled: requests with two rows or two answers, entries that were
//     refused or that nobody sent, members above the limit, entries after the end,
//     counters that differ from the rows, and versions that two clients were shown
//     with different content.
//   - versions_regressed, updates_doubled: what a client saw of one life of a raffle
//     goes back, or repeats.
//   - clients_without_final: clients that did not follow, do not have the final odds,
//     or were told not to come back; raffles that a gateway does not list, or that did
//     not close.
//     Once in a run all services are at a NATS server that is cut off from the others
//     and stays so; then clients have 45 s to follow.
//   - ghosts: raffles that a gateway shows otherwise than the database has them.
//   - leaks: services that hold more goroutines, files or memory than in the first
//     quiet moment.
//
// Errors that a caller should not see, processes that end by themselves or too late,
// and panics in logs have no line of their own, but fail the run as well.
//
// The judge measures how late its own process is, and allows for that: a busy machine
// delays both.
//
// # Lifecycle
//
// Run runs one seed in a directory of its own and leaves nothing running. The
// schedule follows from the seed; what the operating system does in between does
// not, so a seed that failed once may have to be run several times. kept.txt lists
// those that did.
package faults
