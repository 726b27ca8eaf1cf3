//go:build unix

// Package bench measures how fast participation takes entries, beside what bounds
// it: the database below and gRPC above.
//
// The workloads all use one PostgreSQL that waits for its disk (fsync on):
//
//   - naive: a transaction per entry, with the counters in one raffle's row, from 64
//     callers: what one writes first.
//   - unary: this service, by unary calls.
//   - stream: this service, by EnterStream, with 1,000 requests in flight; stream-4000 with
//     4,000, which is about what the service allows a stream.
//   - drawn-stream, drawn-unary: the same for a raffle that will be drawn, so that each
//     entry has a record in its log. draw_cost_ratio is how many times as long it takes.
//   - noop: a server of the same contract that stores nothing, by unary calls and
//     by stream: the upper bound for gRPC.
//   - copy: the rows that the stream placed, by COPY: the upper bound for
//     PostgreSQL.
//
// All entries have request ids, and all workloads but copy keep the limit per
// member and the counters. After each of the service's turns the database is
// verified against the answers.
//
// The service, the no-op server and NATS are processes of their own, so that the
// CPU time of each can be distinguished from the client's. Workloads take turns,
// round after round, and ratios are calculated within a round, so that whatever
// else the machine does affects all of them. The report has medians of the rounds.
// CPUs used by others, which are NATS and everything foreign, show how quiet the
// machine was: above some tenths, the figures mean little.
//
// Last comes the draw of ten million tickets, and its verification: draw_seconds and
// verify_seconds.
package bench
