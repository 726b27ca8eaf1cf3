package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/status"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
	"github.com/rafflecast/rafflecast/services/participation/internal/raffle"
)

// maxInFlight is how many requests of one stream may be under way; past it the
// stream is not read, and its caller held up by the transport's flow control.
// Two full batches: one being written while the next gathers.
const maxInFlight = 4096

// enterStream is what one stream of entries works with.
type enterStream struct {
	grpc.BidiStreamingServer[rafflev1.EnterStreamRequest, rafflev1.EnterStreamResponse]
	*participationService
	// slots holds a value for each request that is under way, so answers, which
	// has as much room, never blocks whoever puts one in.
	slots   chan struct{}
	answers chan answer
}

type answer struct {
	id  int64
	res *raffle.EnterResult
}

// EnterStream answers each request as soon as its batch is written.
func (s *participationService) EnterStream(stream grpc.BidiStreamingServer[rafflev1.EnterStreamRequest, rafflev1.EnterStreamResponse]) error {
	e := &enterStream{
		BidiStreamingServer:  stream,
		participationService: s,
		slots:                make(chan struct{}, maxInFlight),
		answers:              make(chan answer, maxInFlight),
	}
	var sending sync.WaitGroup
	var sendErr error
	sending.Go(func() { sendErr = e.send() })
	received := make(chan error, 1)
	go func() { received <- e.receive() }() // ends with the stream at the latest
	var err error
	select {
	case err = <-received:
	case <-s.edge.stopping:
		err = fmt.Errorf("%w: the service is stopping, open another stream", raffle.ErrUnavailable)
	}
	for range maxInFlight { // wait until nothing is under way, and let nothing in
		e.slots <- struct{}{}
	}
	close(e.answers)
	sending.Wait()
	return errors.Join(err, sendErr)
}

// receive submits requests until the caller has sent its last.
func (e *enterStream) receive() error {
	ctx := e.Context()
	for {
		req, err := e.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		select {
		case e.slots <- struct{}{}:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		id := req.GetId()
		if err := e.check(req); err != nil {
			e.answers <- answer{id, &raffle.EnterResult{Err: err}}
			continue
		}
		e.entries.Submit(ctx, enterRequest(req.GetEnter()), func(res *raffle.EnterResult) { e.answers <- answer{id, res} })
	}
}

func (e *enterStream) check(req *rafflev1.EnterStreamRequest) error {
	if req.GetEnter() == nil {
		return invalid("enter", "value is required")
	}
	return validate(e.edge.validator, req.GetEnter())
}

// send sends answers until there will be no more. Once the caller is gone it only
// takes them.
func (e *enterStream) send() (err error) {
	for a := range e.answers {
		if err == nil {
			resp := &rafflev1.EnterStreamResponse{Id: a.id}
			if a.res.Err != nil {
				resp.Result = &rafflev1.EnterStreamResponse_Error{Error: e.failure(a.res.Err)}
			} else {
				resp.Result = &rafflev1.EnterStreamResponse_Entered{Entered: e.enterResponse(a.res)}
			}
			err = e.Send(resp)
		}
		<-e.slots
	}
	return err
}

// failure writes an error as what the unary call would have failed with.
func (e *enterStream) failure(err error) *rafflev1.EnterError {
	st := status.Convert(toStatus(e.Context(), e.edge.log, err))
	failure := &rafflev1.EnterError{Code: int32(st.Code()), Message: st.Message()}
	for _, detail := range st.Details() {
		switch d := detail.(type) {
		case *errdetails.ErrorInfo:
			failure.Reason = d.GetReason()
		case *errdetails.RetryInfo:
			failure.RetryDelay = d.GetRetryDelay()
		}
	}
	return failure
}
