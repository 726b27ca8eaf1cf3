package batch

import "github.com/rafflecast/rafflecast/services/participation/internal/raffle"

// Future is the result of a call that may not have been written yet.
type Future struct {
	done   chan struct{}
	result *raffle.EnterResult
}

func newFuture() *Future { return &Future{done: make(chan struct{})} }

// complete sets the result. It must be called once.
func (f *Future) complete(_ int64, result *raffle.EnterResult) {
	f.result = result
	close(f.done)
}

// Result waits for the result and returns it, with its Err as the error. It may be
// called any number of times, from any goroutine.
func (f *Future) Result() (*raffle.EnterResult, error) {
	<-f.done
	return f.result, f.result.Err
}
