package testenv

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// stopped is a test that records how it was ended.
type stopped struct {
	testing.TB

	how string
}

func (t *stopped) Helper() {}

func (t *stopped) Fatal(a ...any)                 { t.end("failed: " + fmt.Sprint(a...)) }
func (t *stopped) Fatalf(format string, a ...any) { t.end("failed: " + fmt.Sprintf(format, a...)) }
func (t *stopped) Skipf(format string, a ...any)  { t.end("skipped: " + fmt.Sprintf(format, a...)) }

// end leaves the function under test as testing.T would, but for the goroutine.
func (t *stopped) end(how string) {
	t.how = how
	panic(t)
}

// run calls f and returns how it ended the test, "" if it did not.
func run(t *testing.T, f func(*stopped)) (how string) {
	t.Helper()
	inner := &stopped{TB: t}
	defer func() {
		if r := recover(); r != nil && r != any(inner) {
			panic(r)
		}
		how = inner.how
	}()
	f(inner)
	return ""
}

func TestEventually_WaitsUntilOK(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		if how := run(t, func(t *stopped) {
			Eventually(t, "a second passes", time.Minute, func() bool { return time.Since(start) >= time.Second })
		}); how != "" {
			t.Error(how)
		}
		if took := time.Since(start); took > time.Second+pollInterval {
			t.Errorf("it took %v", took)
		}
	})
}

func TestEventually_SaysWhatDidNotHappen(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		how := run(t, func(t *stopped) { Eventually(t, "the sun rises", time.Minute, func() bool { return false }) })
		if want := "failed: did not happen within 1m0s: the sun rises"; how != want {
			t.Errorf("got %q, want %q", how, want)
		}
		if took := time.Since(start); took < time.Minute || took > time.Minute+2*pollInterval {
			t.Errorf("it took %v", took)
		}
	})
}

func TestReceive_WaitsForTheEvent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		event := make(chan int, 1)
		time.AfterFunc(time.Second, func() { event <- 7 })
		if got := Receive(t, "the seven", time.Minute, event); got != 7 {
			t.Errorf("got %d", got)
		}
		how := run(t, func(t *stopped) { Receive(t, "the eight", time.Minute, event) })
		if want := "failed: did not happen within 1m0s: the eight"; how != want {
			t.Errorf("got %q, want %q", how, want)
		}
	})
}
