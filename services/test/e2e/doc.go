// Package e2e has no code, only tests: they run our programs as processes, on real
// stores, with real clients and a real browser, and as they are run in production.
package e2e
