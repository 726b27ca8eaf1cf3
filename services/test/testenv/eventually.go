package testenv

import (
	"fmt"
	"testing"
	"time"
)

// pollInterval is how often Eventually and Await call ok.
const pollInterval = 5 * time.Millisecond

// Eventually polls ok until it reports true, and fails the test if that takes
// longer than within. what completes the sentence "X did not happen within …", as
// in "the stream acknowledges version 2".
//
// Use it only if the event cannot be waited for: a channel or testing/synctest is
// better. Since it ends the test, it must be called on the test's goroutine; other
// goroutines call Await.
func Eventually(t testing.TB, what string, within time.Duration, ok func() bool) {
	t.Helper()
	if err := Await(what, within, ok); err != nil {
		t.Fatal(err)
	}
}

// Receive waits for an event, which is a value on a channel or its close, and fails
// the test if it does not happen within a time. what names it, as in "the second
// snapshot". It must be called on the test's goroutine.
func Receive[T any](t testing.TB, what string, within time.Duration, event <-chan T) (value T) {
	t.Helper()
	select {
	case value = <-event:
	case <-time.After(within):
		t.Fatalf("did not happen within %v: %s", within, what)
	}
	return value
}

// Await is Eventually for goroutines other than the test's: it returns an error
// instead of failing the test.
func Await(what string, within time.Duration, ok func() bool) error {
	for start := time.Now(); !ok(); time.Sleep(pollInterval) {
		if time.Since(start) > within {
			return fmt.Errorf("did not happen within %v: %s", within, what)
		}
	}
	return nil
}
