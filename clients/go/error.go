package client

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Error is a failure that a service reports, or of the way to it. Act on its Reason, or
// without one on its Code.
type Error struct {
	Code codes.Code
	// Reason says what is wrong, as in RAFFLE_NOT_OPEN; the contract lists the reasons of
	// each call. It is empty if no service of Rafflecast has answered.
	Reason string
	// Message is for people. It names field, value and bound.
	Message string
	// Metadata holds every part of the message that varies, but no member ids.
	Metadata map[string]string
	// RetryAfter is how long to wait before the same call may succeed: what the service says,
	// or a second if none has answered; 0 if the same call would fail again.
	RetryAfter time.Duration

	status *status.Status // nil if the error comes from a gateway
}

// Error implements error.
func (e *Error) Error() string {
	if e.Reason == "" {
		return fmt.Sprintf("%s: %s", e.Code, e.Message)
	}
	return fmt.Sprintf("%s (%s): %s", e.Code, e.Reason, e.Message)
}

// GRPCStatus returns the status with all its details, so that package status of gRPC
// understands an Error.
func (e *Error) GRPCStatus() *status.Status {
	if e.status == nil {
		return status.New(e.Code, e.Message)
	}
	return e.status
}

// newError returns the error that a status is.
func newError(s *status.Status) *Error {
	e := &Error{Code: s.Code(), Message: s.Message(), status: s}
	for _, detail := range s.Details() {
		switch d := detail.(type) {
		case *errdetails.ErrorInfo:
			e.Reason, e.Metadata = d.GetReason(), d.GetMetadata()
		case *errdetails.RetryInfo:
			e.RetryAfter = max(d.GetRetryDelay().AsDuration(), time.Nanosecond)
		}
	}
	return e
}

// givenUp returns the error of a call that is not repeated any more.
func (e *Error) givenUp() *Error {
	if e.mayPass() && e.RetryAfter == 0 {
		e.RetryAfter = unreachedPause
	}
	return e
}

// mayPass reports whether the same call may succeed later. RESOURCE_EXHAUSTED without a
// time comes from the transport, which refuses a message that is too large.
func (e *Error) mayPass() bool {
	return e.Code == codes.Unavailable || e.Code == codes.ResourceExhausted && e.RetryAfter > 0
}

// unreachedPause is for gRPC's own UNAVAILABLE, which has no RetryInfo: no service has
// answered, as when all instances have left a Service of Kubernetes.
const unreachedPause = time.Second

// firstPause and lastPause bound the random part of a pause between two attempts.
const (
	firstPause = 100 * time.Millisecond
	lastPause  = 5 * time.Second
)

// pause returns how long to wait after a number of attempts that have failed: no less than
// the service asks for, and a random time more that grows with the attempts, so that
// clients do not come back together.
func pause(attempts int, atLeast time.Duration) time.Duration {
	return atLeast + rand.N(min(firstPause<<min(attempts, 10), lastPause))
}

// sleep waits, and reports whether it did before ctx ended.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
