// Package docs has no code, only tests: what the documents at the top of the
// repository name must exist, be it a path, a make target, a command or flag of a
// program, a Go or protobuf name, an error reason, or a heading.
package docs
