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

// answer is what one attempt led to.
type answer struct {
	ordinal int32 // of the entry, where code is OK
	code    codes.Code
	reason  string        // from ErrorInfo, or the code's name
	delay   time.Duration // from RetryInfo; 0: none was given
}

func entered(resp *rafflev1.EnterResponse) answer {
	return answer{ordinal: resp.GetEntry().GetOrdinal()}
}

// failed reads the error of a call.
func failed(err error) answer {
	st := status.Convert(err)
	a := answer{code: st.Code(), reason: code.Code(st.Code()).String()}
	for _, detail := range st.Details() {
		switch d := detail.(type) {
		case *errdetails.ErrorInfo:
			a.reason = d.GetReason()
		case *errdetails.RetryInfo:
			a.delay = d.GetRetryDelay().AsDuration()
		}
	}
	return a
}

// streamed reads an answer of a stream.
func streamed(resp *rafflev1.EnterStreamResponse) answer {
	if st := resp.GetStatus(); st != nil {
		return failed(status.ErrorProto(st))
	}
	return entered(resp.GetEntered())
}

// refused tells whether the answer is final: sending the request again can't
// change it.
func (a answer) refused() bool {
	switch a.code {
	case codes.NotFound, codes.FailedPrecondition, codes.AlreadyExists, codes.InvalidArgument,
		codes.Unimplemented, codes.PermissionDenied, codes.Unauthenticated:
		return true
	}
	return false
}

// Where the service names no delay, the first is firstDelay and each is twice
// the one before; none is longer than maxDelay.
const (
	firstDelay = 50 * time.Millisecond
	maxDelay   = 5 * time.Second
)

// pause returns how long to wait before attempt number n, from 1: at least what
// the service asked for, at most twice that, so that callers who were refused
// together don't come back together.
func (a answer) pause(n int) time.Duration {
	d := a.delay
	if d <= 0 {
		d = firstDelay << min(n-1, 10)
	}
	d = min(d, maxDelay)
	return d + rand.N(d)
}
