//go:build unix

// Package measure is what the benchmarks share: child processes, the CPU time and
// memory of processes, profiles, connections to a gateway, medians, and the lines for
// programs at the end of a report.
//
// A benchmark runs its parts in processes of their own, so that the CPU time of
// each can be measured from outside. Parent and child talk in lines: the child
// writes READY and the address on which it listens, and then answers questions. It ends
// when its standard input does, so that it never outlives the parent.
package measure
