// Package testenv holds what the tests of all modules share: waiting with a
// deadline, free addresses, installed programs, and a certificate authority. It
// imports the standard library only, so that no module gains a dependency by it.
package testenv
