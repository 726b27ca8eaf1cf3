//go:build unix

// Package bench measures how fast entries are taken, side by side with what
// bounds it: the database below and gRPC above.
//
// The contestants, all on one PostgreSQL that waits for its disk (fsync on):
//
//   - naive: a transaction per entry, with the counter on one hot raffle, from 64
//     callers: what one writes first.
//   - unary: this service, by unary calls.
//   - stream: this service, by EnterStream.
//   - noop: a server of the same contract that stores nothing, by unary calls and
//     by stream: the most that gRPC allows.
//   - copy: the rows that the stream placed, by COPY: the most that PostgreSQL
//     allows.
//
// All entries have request ids, and all but COPY keep the limit per member and
// the counters. After each run the database is verified against the answers.
//
// The service, the no-op server and NATS are processes of their own, so that the
// CPU of each can be told from the client's. Contestants take turns, round after
// round, and ratios are made within a round: what else the machine does hits all
// of them. Reported are medians over the rounds. CPUs used by others, NATS and
// everything foreign, tell how quiet the machine was: above some tenths, the
// figures say little.
package bench
