package grpcapi

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/status"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
	"github.com/rafflecast/rafflecast/services/participation/internal/raffle"
)

// maxInFlight is how many requests of one stream may be under way; past it the
// stream is not read, and its caller held up by the transport's flow control.
// Two full batches: one being written while the next gathers.
const maxInFlight = 4096

// enterStream is what one stream of entries works with. It takes memory only for
// what is under way.
type enterStream struct {
	grpc.BidiStreamingServer[rafflev1.EnterStreamRequest, rafflev1.EnterStreamResponse]
	*participationService
	slots chan struct{} // holds a value for each request that is under way

	mu      sync.Mutex
	answers []answer      // to send
	ready   chan struct{} // holds one: there are answers
}

// answer is what came of a request, or, without a result, the announcement that
// the stream is ending.
type answer struct {
	id     int64
	res    *raffle.EnterResult
	ending rafflev1.StreamEnding_Reason
}

// EnterStream answers each request as soon as its batch is written.
func (s *participationService) EnterStream(stream grpc.BidiStreamingServer[rafflev1.EnterStreamRequest, rafflev1.EnterStreamResponse]) error {
	e := &enterStream{
		BidiStreamingServer:  stream,
		participationService: s,
		slots:                make(chan struct{}, maxInFlight),
		ready:                make(chan struct{}, 1),
	}
	sent, done := make(chan error, 1), make(chan struct{})
	go func() { sent <- e.send(done) }()
	received := make(chan error, 1)
	go func() { received <- e.receive() }() // ends with the stream at the latest
	var err error
	select {
	case err = <-received:
	case <-s.edge.stopping:
		e.announce(rafflev1.StreamEnding_SHUTDOWN)
	case <-s.edge.aged():
		e.announce(rafflev1.StreamEnding_MAX_AGE)
	}
	for range maxInFlight { // wait until nothing is under way, and let nothing in
		e.slots <- struct{}{}
	}
	close(done)
	if unsent := <-sent; err == nil {
		err = unsent
	}
	return err
}

// aged returns what fires when a stream that begins now has lived its time; nil
// where that has no end.
func (e *edge) aged() <-chan time.Time {
	if e.age == 0 {
		return nil
	}
	return time.After(e.age*9/10 + rand.N(e.age/5+1))
}

// answer hands over what came of a request. It never blocks.
func (e *enterStream) answer(id int64, res *raffle.EnterResult) {
	e.queue(answer{id: id, res: res})
}

// announce tells the caller that the server ends the stream.
func (e *enterStream) announce(reason rafflev1.StreamEnding_Reason) {
	e.queue(answer{ending: reason})
}

func (e *enterStream) queue(a answer) {
	e.mu.Lock()
	e.answers = append(e.answers, a)
	e.mu.Unlock()
	select {
	case e.ready <- struct{}{}:
	default:
	}
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
		id := req.GetCorrelationId()
		if err := e.check(req); err != nil {
			e.answer(id, &raffle.EnterResult{Err: err})
			continue
		}
		e.entries.SubmitFunc(ctx, enterRequest(req.GetEnter()), func(res *raffle.EnterResult) { e.answer(id, res) })
	}
}

func (e *enterStream) check(req *rafflev1.EnterStreamRequest) error {
	if req.GetEnter() == nil {
		return invalid("enter", "value is required")
	}
	return validate(e.edge.validator, req.GetEnter())
}

// send sends answers until done is closed and all are sent. Once the caller is
// gone it only takes them.
func (e *enterStream) send(done <-chan struct{}) (err error) {
	var answers []answer
	for ending := false; !ending; {
		select {
		case <-e.ready:
		case <-done:
			ending = true // what is queued by now is the last
		}
		e.mu.Lock()
		answers, e.answers = e.answers, answers[:0]
		e.mu.Unlock()
		for _, a := range answers {
			if err == nil {
				err = e.Send(e.response(a))
			}
			if a.res != nil {
				<-e.slots
			}
		}
		clear(answers)
	}
	return err
}

func (e *enterStream) response(a answer) *rafflev1.EnterStreamResponse {
	resp := &rafflev1.EnterStreamResponse{CorrelationId: a.id}
	switch {
	case a.res == nil:
		resp.Result = &rafflev1.EnterStreamResponse_Ending{Ending: &rafflev1.StreamEnding{Reason: a.ending}}
	case a.res.Err != nil:
		resp.Result = &rafflev1.EnterStreamResponse_Status{Status: status.Convert(toStatus(e.Context(), e.edge.log, a.res.Err)).Proto()}
	default:
		resp.Result = &rafflev1.EnterStreamResponse_Entered{Entered: e.enterResponse(a.res)}
	}
	return resp
}
