package load

import (
	"math/rand/v2"
	"time"

	"google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
)

// answer is the result of one attempt at a request.
type answer struct {
	ordinal    int32 // of the entry, if it was acknowledged
	code       codes.Code
	reason     string        // from ErrorInfo, or else the code's name
	retryDelay time.Duration // from RetryInfo; 0: none was given
}

func answerOf(resp *rafflev1.EnterResponse) answer {
	return answer{ordinal: resp.GetEntry().GetOrdinal()}
}

func answerOfError(err error) answer {
	st := status.Convert(err)
	a := answer{code: st.Code(), reason: code.Code(st.Code()).String()}
	for _, detail := range st.Details() {
		switch d := detail.(type) {
		case *errdetails.ErrorInfo:
			a.reason = d.GetReason()
		case *errdetails.RetryInfo:
			a.retryDelay = d.GetRetryDelay().AsDuration()
		}
	}
	return a
}

func answerOfStream(resp *rafflev1.EnterStreamResponse) answer {
	if st := resp.GetStatus(); st != nil {
		return answerOfError(status.ErrorProto(st))
	}
	return answerOf(resp.GetEntered())
}

// acknowledged reports whether the entry is placed.
func (a answer) acknowledged() bool { return a.code == codes.OK }

// refused reports whether the request failed for good: sending it again cannot
// change the answer.
func (a answer) refused() bool {
	switch a.code {
	case codes.NotFound, codes.FailedPrecondition, codes.AlreadyExists, codes.InvalidArgument,
		codes.Unimplemented, codes.PermissionDenied, codes.Unauthenticated:
		return true
	}
	return false
}

// final reports whether the request needs no further attempt.
func (a answer) final() bool { return a.acknowledged() || a.refused() }

// If the service gives no delay, the first backoff is minBackoff, and each is twice
// the one before. None is longer than maxBackoff, before jitter.
const (
	minBackoff = 50 * time.Millisecond
	maxBackoff = 5 * time.Second
)

// backoff returns how long to wait before the next attempt, after as many as
// attempts. It is at least the service's delay and at most twice that, so that
// callers that were refused together do not return together.
func (a answer) backoff(attempts int) time.Duration {
	d := a.retryDelay
	if d <= 0 {
		d = minBackoff << min(attempts-1, 10)
	}
	d = min(d, maxBackoff)
	return d + rand.N(d)
}
