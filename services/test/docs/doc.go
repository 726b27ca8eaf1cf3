// Package docs has no code, only tests. What the documents at the top of the repository and
// in docs name must exist, be it a path, a make target, a command or flag of a program, a Go
// or protobuf name, an error reason, or a heading. The commands and programs in those that
// users read run in the order in which they stand, and fragments of programs are part of
// what other tests run.
package docs
