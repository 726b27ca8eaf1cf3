// Package fuzz runs every native fuzz target of the repository, one after the other,
// and counts the inputs that each has tried.
//
// The targets are found by go test -list in every module, so none can be forgotten. A
// module is tested by itself, without the workspace, because not every module belongs
// to it. A target that finds something leaves the input in testdata/fuzz beside it, as
// go test says; the other targets run nevertheless.
package fuzz
